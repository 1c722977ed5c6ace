//! Smoothing of a spectrum, to be done after the dark is subtracted.

/// The widest window, in pixels.
pub const MAX_WINDOW: usize = 501;
/// The highest order of a fitted polynomial.
pub const MAX_ORDER: usize = 12;

/// How a spectrum is smoothed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Smoothing {
    /// Not at all.
    Off,
    /// Mean of `width` neighbors, an odd number. The outermost `width / 2` pixels on each side are left out.
    MovingMean {
        /// Pixels.
        width: usize,
    },
    /// A polynomial fitted to `window` neighbors, an odd number; at both ends, the one of the outermost window.
    SavitzkyGolay {
        /// Pixels.
        window: usize,
        /// Of the polynomial, below `window`.
        order: usize,
    },
}

/// Why a smoothing is impossible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SmoothingError {
    /// The window has no middle, or is too wide.
    #[error("a smoothing window has an odd number of pixels in 1..{MAX_WINDOW}, not {0}")]
    Window(usize),
    /// The polynomial would go through every pixel, or is of too high an order.
    #[error("the order {order} is not below the window of {window} pixels, or above {MAX_ORDER}")]
    Order {
        /// Asked for.
        order: usize,
        /// Asked for.
        window: usize,
    },
    /// Less values than the window has pixels.
    #[error("{values} values are too few for a window of {window} pixels")]
    TooShort {
        /// To be smoothed.
        values: usize,
        /// Asked for.
        window: usize,
    },
}

/// A smoothed spectrum.
#[derive(Debug, Clone, PartialEq)]
pub struct Smoothed {
    /// Active pixel of the first value: moving means leave pixels out at both ends.
    pub first_pixel: usize,
    /// One value for each pixel from there.
    pub values: Vec<f64>,
}

impl Smoothing {
    /// Savitzky-Golay with the window of 11 and order of 3 of the vendor's desktop program.
    pub const SAVITZKY_GOLAY: Self = Self::SavitzkyGolay {
        window: 11,
        order: 3,
    };

    /// Whether it is possible.
    ///
    /// # Errors
    /// [`SmoothingError`].
    pub fn check(&self) -> Result<(), SmoothingError> {
        let odd = |window: usize| match window % 2 == 1 && window <= MAX_WINDOW {
            true => Ok(()),
            false => Err(SmoothingError::Window(window)),
        };
        match *self {
            Self::Off => Ok(()),
            Self::MovingMean { width } => odd(width),
            Self::SavitzkyGolay { window, order } => {
                odd(window)?;
                match order < window && order <= MAX_ORDER {
                    true => Ok(()),
                    false => Err(SmoothingError::Order { order, window }),
                }
            }
        }
    }

    /// Smooths the values of all active pixels.
    ///
    /// # Errors
    /// [`SmoothingError`].
    pub fn apply(&self, values: &[f64]) -> Result<Smoothed, SmoothingError> {
        self.check()?;
        let (first_pixel, window) = match *self {
            Self::Off => (0, 0),
            Self::MovingMean { width } => (width / 2, width),
            Self::SavitzkyGolay { window, .. } => (0, window),
        };
        if values.len() < window {
            let values = values.len();
            return Err(SmoothingError::TooShort { values, window });
        }
        let values = match *self {
            Self::Off => values.to_vec(),
            Self::MovingMean { width } => moving_mean(values, width),
            Self::SavitzkyGolay { window, order } => savitzky_golay(values, window, order),
        };
        Ok(Smoothed {
            first_pixel,
            values,
        })
    }
}

fn moving_mean(values: &[f64], width: usize) -> Vec<f64> {
    // Each sum anew: a running one would carry its rounding through the spectrum.
    let mean = |window: &[f64]| window.iter().sum::<f64>() / width as f64;
    values.windows(width).map(mean).collect()
}

fn savitzky_golay(values: &[f64], window: usize, order: usize) -> Vec<f64> {
    let basis = orthonormal_polynomials(window, order);
    // Weights of the neighbors for the fit's value at one place of the window.
    let weights = |place: usize| -> Vec<f64> {
        (0..window)
            .map(|at| basis.iter().map(|poly| poly[place] * poly[at]).sum())
            .collect()
    };
    let dot = |weights: &[f64], values: &[f64]| -> f64 {
        weights.iter().zip(values).map(|(w, v)| w * v).sum()
    };
    let half = window / 2;
    let (head, tail) = (&values[..window], &values[values.len() - window..]);
    let middle = weights(half);
    let mut smooth = Vec::with_capacity(values.len());
    smooth.extend((0..half).map(|place| dot(&weights(place), head)));
    smooth.extend(values.windows(window).map(|near| dot(&middle, near)));
    smooth.extend((half + 1..window).map(|place| dot(&weights(place), tail)));
    smooth
}

/// Polynomials of order 0 to `order` on the places of a window, each of length 1 and at right angles to the others
/// (Gram-Schmidt, twice, so that rounding does not spoil high orders).
fn orthonormal_polynomials(window: usize, order: usize) -> Vec<Vec<f64>> {
    let half = (window / 2).max(1) as f64;
    let place = |at: usize| (at as f64 - (window / 2) as f64) / half;
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(order + 1);
    for _ in 0..=order {
        let mut next: Vec<f64> = match basis.last() {
            Some(last) => (0..window).map(|at| last[at] * place(at)).collect(),
            None => vec![1.0; window],
        };
        for _ in 0..2 {
            for poly in &basis {
                let along: f64 = poly.iter().zip(&next).map(|(a, b)| a * b).sum();
                next.iter_mut().zip(poly).for_each(|(n, p)| *n -= along * p);
            }
        }
        let length = next.iter().map(|value| value * value).sum::<f64>().sqrt();
        next.iter_mut().for_each(|value| *value /= length);
        basis.push(next);
    }
    basis
}
