//! Which pool buffers fit what comes: a message costs less in one piece than in many, and small ones need not pin large
//! buffers.

use penstock_ring::Group;

/// Fewer large buffers than this are left to those who have them in hand.
const fn spare_min(large: Group) -> usize {
    match large {
        Group::Bulk => 32,
        Group::Reserve | Group::Small | Group::Record => 512,
    }
}
/// So many points change the group.
const SCORE: u8 = 16;

/// How well a direction's buffers have fitted lately: no point, well.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fit {
    score: u8,
}

impl Fit {
    /// So many bytes came in a buffer of `group`. The group that would fit better, [`Group::Small`] or `large`, once that is
    /// clear; large ones are for when nobody holds enough of them (`spare`): stuck directions must not leave the others without.
    pub(super) fn received(
        &mut self,
        group: Group,
        bytes: usize,
        large: Group,
        spare: usize,
    ) -> Option<Group> {
        if spare < spare_min(large) {
            self.score = 0;
            return (group == large).then_some(Group::Small);
        }
        let full_small = bytes >= Group::Small.capacity();
        // Growing is the easy way: one message may end in a piece that is not full.
        let (misfits, up, down, other) = match group {
            Group::Small => (full_small, 2, 1, large),
            Group::Record | Group::Bulk => (!full_small, 1, 2, Group::Small),
            Group::Reserve => return None,
        };
        self.score = if misfits { self.score + up } else { self.score.saturating_sub(down) };
        (self.score >= SCORE).then(|| {
            self.score = 0;
            other
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The group after messages of so many bytes.
    fn after(first: Group, messages: &[usize]) -> Group {
        let (mut fit, mut group) = (Fit::default(), first);
        for message in messages {
            let mut left = *message;
            while left > 0 {
                let piece = left.min(group.capacity());
                group = fit.received(group, piece, Group::Record, 1000).unwrap_or(group);
                left -= piece;
            }
        }
        group
    }

    #[test]
    fn heavy_messages_get_large_buffers_and_small_ones_small() {
        for heavy in [5000, 8192, 16384, 65536] {
            assert_eq!(after(Group::Small, &[heavy; 16]), Group::Record, "{heavy}");
            assert_eq!(after(Group::Record, &[heavy; 1000]), Group::Record, "{heavy}");
        }
        for light in [1, 64, 4095] {
            assert_eq!(after(Group::Small, &[light; 1000]), Group::Small, "{light}");
            assert_eq!(after(Group::Record, &[light; 16]), Group::Small, "{light}");
        }
    }

    #[test]
    fn a_short_pool_has_small_buffers_only() {
        let mut fit = Fit::default();
        assert!((0..1000).all(|_| fit.received(Group::Small, 4096, Group::Record, 511).is_none()));
        assert_eq!(fit.received(Group::Record, 16384, Group::Record, 511), Some(Group::Small));
    }

    #[test]
    fn one_heavy_message_changes_nothing() {
        assert_eq!(after(Group::Small, &[16384, 64, 64, 64, 64, 64]), Group::Small);
        assert_eq!(after(Group::Record, &[64, 64, 16384, 64, 64]), Group::Record);
    }
}
