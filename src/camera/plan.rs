//! Which exposure the next request should carry, and which picture a frame is.
//!
//! A request's controls show some frames later, so exposures are asked for ahead of their frames. The plan only
//! predicts; what counts is the frame's own metadata. A prediction that fails costs a repeat, never a wrong picture.
//!
//! ```text
//! request   0    1    2    3    4    5    6     carries the exposure wanted at frame +3
//! carries   A    A    A    B    B    B    A
//! frame     0    1    2    3    4    5    6    7    8
//! shows     ?    ?    ?    A0   A1   A2   B0   B1   B2
//! ```

use std::collections::VecDeque;

use super::backend::Exposure;

/// One picture of a sequence: which exposure of the list, and its number within that exposure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Picture {
    pub(super) entry: usize,
    pub(super) index: u32,
}

/// The pictures of a capture, as far as they are asked for and taken.
#[derive(Debug)]
pub(super) struct Plan {
    entries: Vec<Entry>,
    /// What the coming frames are predicted to be, by request id.
    slots: VecDeque<(u64, usize)>,
}

#[derive(Debug)]
struct Entry {
    exposure: Exposure,
    wanted: u32,
    taken: u32,
    /// Frames on their way that should show this entry.
    expected: u32,
}

impl Plan {
    /// `pictures` of each exposure, in order.
    pub(super) fn new(exposures: &[Exposure], pictures: u32) -> Self {
        let entry = |&exposure| Entry {
            exposure,
            wanted: pictures,
            taken: 0,
            expected: 0,
        };
        Self {
            entries: exposures.iter().map(entry).collect(),
            slots: VecDeque::new(),
        }
    }

    /// A frame already on its way shows `exposure` because of an earlier request: counts for the first entry if it
    /// is that exposure. Returns whether it is of use.
    pub(super) fn credit(&mut self, request_id: u64, exposure: Exposure) -> bool {
        let Some(first) = self.entries.first_mut() else {
            return false;
        };
        let of_use = first.exposure == exposure && first.expected < first.wanted;
        if of_use {
            first.expected += 1;
            self.slots.push_back((request_id, 0));
        }
        of_use
    }

    /// The exposure for the next request, whose effect will show `latency` frames after its own. When nothing is left
    /// to ask for it is the first exposure, which is what stays set after a sequence; `None` when the request's own
    /// frame is not needed either, so that nothing stands before what the next command asks for.
    pub(super) fn next_exposure(&mut self, request_id: u64, latency: u64) -> Option<Exposure> {
        let lacking = self
            .entries
            .iter()
            .position(|e| e.taken + e.expected < e.wanted);
        if let Some(entry) = lacking {
            self.entries[entry].expected += 1;
            self.slots.push_back((request_id + latency, entry));
        } else if self.slots.back().is_none_or(|&(last, _)| last < request_id) {
            return None;
        }
        self.entries
            .get(lacking.unwrap_or(0))
            .map(|entry| entry.exposure)
    }

    /// A frame came. `shows` tells whether its metadata show an exposure; the predicted entry is preferred, then the
    /// first that lacks pictures: a later entry of the same exposure waits for its turn. `None` when it is no picture.
    pub(super) fn take(
        &mut self,
        request_id: u64,
        shows: impl Fn(Exposure) -> bool,
    ) -> Option<Picture> {
        let predicted = self.forget_slot(request_id);
        let lacks = |entry: &Entry| entry.taken < entry.wanted;
        let suits = |&at: &usize| {
            let entry = &self.entries[at];
            let foretold = predicted == Some(at);
            lacks(entry) && shows(entry.exposure) && (foretold || entry.exposure != Exposure::Auto)
        };
        let chosen = predicted
            .filter(suits)
            .or_else(|| self.entries.iter().position(lacks).filter(suits))?;
        let entry = &mut self.entries[chosen];
        entry.taken += 1;
        Some(Picture {
            entry: chosen,
            index: entry.taken - 1,
        })
    }

    /// The stream was restarted: nothing is on its way any more.
    pub(super) fn forget_expected(&mut self) {
        self.slots.clear();
        self.entries.iter_mut().for_each(|entry| entry.expected = 0);
    }

    /// Pictures in all.
    pub(super) fn wanted(&self) -> u64 {
        self.entries
            .iter()
            .map(|entry| u64::from(entry.wanted))
            .sum()
    }

    /// Whether every picture is taken.
    pub(super) fn is_done(&self) -> bool {
        self.entries.iter().all(|entry| entry.taken >= entry.wanted)
    }

    fn forget_slot(&mut self, request_id: u64) -> Option<usize> {
        let mut found = None;
        self.slots.retain(|&(id, entry)| {
            let passed = id <= request_id;
            if passed {
                self.entries[entry].expected -= 1;
                found = (id == request_id).then_some(entry).or(found);
            }
            !passed
        });
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Exposure = Exposure::Manual(1000);
    const B: Exposure = Exposure::Manual(3150);

    /// A sensor that shows the controls of request `n` in frame `n + latency`, starting with `before`.
    fn run(
        plan: &mut Plan,
        before: Exposure,
        latency: u64,
        assumed: u64,
        lost: &[u64],
    ) -> (Vec<Picture>, u64) {
        let mut carried = Vec::new();
        let mut pictures = Vec::new();
        for id in 0..assumed {
            plan.credit(id, before);
        }
        let mut frame = 0;
        while !plan.is_done() {
            while (carried.len() as u64) < frame + 4 {
                match plan.next_exposure(carried.len() as u64, assumed) {
                    Some(exposure) => carried.push(exposure),
                    None => break,
                }
            }
            let shown = frame
                .checked_sub(latency)
                .map_or(before, |id| carried[id as usize]);
            let good = !lost.contains(&frame);
            pictures.extend(plan.take(frame, |exposure| good && exposure == shown));
            frame += 1;
            assert!(frame < 100, "the plan does not end");
        }
        (pictures, frame)
    }

    fn pictures(of: &[(usize, u32)]) -> Vec<Picture> {
        of.iter()
            .map(|&(entry, index)| Picture { entry, index })
            .collect()
    }

    #[test]
    fn a_settled_first_exposure_costs_no_latency() {
        let mut plan = Plan::new(&[A, B], 3);
        let (taken, frames) = run(&mut plan, A, 3, 3, &[]);
        assert_eq!(
            taken,
            pictures(&[(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)])
        );
        assert_eq!(frames, 6);
    }

    #[test]
    fn another_first_exposure_costs_the_latency_once() {
        let mut plan = Plan::new(&[A, B], 3);
        let (_, frames) = run(&mut plan, Exposure::Manual(77), 3, 3, &[]);
        assert_eq!(frames, 3 + 6);
    }

    #[test]
    fn a_wrong_idea_of_the_latency_costs_frames_but_no_picture() {
        for real in 0..8 {
            let mut plan = Plan::new(&[A, B, A], 2);
            let (taken, _) = run(&mut plan, B, real, 3, &[]);
            assert_eq!(taken.len(), 6, "latency {real}");
            assert!(plan.is_done());
        }
    }

    #[test]
    fn an_exposure_that_comes_twice_is_not_taken_before_what_lies_between() {
        let mut plan = Plan::new(&[A, B, A], 2);
        // The stream shows the first exposure already, for longer than it is needed.
        let (taken, _) = run(&mut plan, A, 3, 3, &[]);
        let entries: Vec<usize> = taken.iter().map(|picture| picture.entry).collect();
        assert_eq!(entries, [0, 0, 1, 1, 2, 2]);
    }

    #[test]
    fn lost_frames_are_taken_again() {
        let mut plan = Plan::new(&[A, B], 2);
        let (taken, _) = run(&mut plan, A, 3, 3, &[0, 2]);
        let of_entry = |n| {
            taken
                .iter()
                .filter(|p| p.entry == n)
                .map(|p| p.index)
                .collect::<Vec<_>>()
        };
        assert_eq!((of_entry(0), of_entry(1)), (vec![0, 1], vec![0, 1]));
    }

    #[test]
    fn automatic_exposure_is_known_by_its_place_alone() {
        let mut plan = Plan::new(&[Exposure::Auto], 1);
        assert_eq!(plan.next_exposure(0, 3), Some(Exposure::Auto));
        assert_eq!(plan.take(2, |_| true), None);
        assert_eq!(plan.take(3, |_| true), Some(Picture { entry: 0, index: 0 }));
    }

    #[test]
    fn no_request_follows_the_one_of_the_last_picture() {
        let mut plan = Plan::new(&[A, B], 1);
        let asked: Vec<_> = (0..7).map(|id| plan.next_exposure(id, 3)).collect();
        let after = [Some(A), Some(A), Some(A)];
        assert_eq!(asked[..2], [Some(A), Some(B)]);
        // The frames of requests 3 and 4 are the pictures; until then the first exposure comes back.
        assert_eq!(asked[2..5], after);
        assert_eq!(asked[5..], [None, None]);
        assert_eq!(plan.take(3, |_| false), None);
        assert_eq!(
            plan.next_exposure(5, 3),
            Some(A),
            "a lost picture is asked for again"
        );
    }

    #[test]
    fn nothing_wanted_is_done_at_once() {
        assert!(Plan::new(&[A], 0).is_done());
        assert_eq!(Plan::new(&[], 3).next_exposure(0, 3), None);
    }
}
