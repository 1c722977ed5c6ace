//! Outpost on the SD card: what it tells the service manager, and what the card's settings file does.

#[path = "appliance/boards.rs"]
mod boards;
#[path = "appliance/notify.rs"]
mod notify;
#[path = "appliance/recipe.rs"]
mod recipe;
#[path = "appliance/setup.rs"]
mod setup;
#[path = "appliance/support.rs"]
mod support;
