//! THERmal subtree.
