//! What a driver must do, whatever it is built on: one suite, run on each driver and on each with features hidden.
//!
//! Every test ends with [`rig::Rig::finish`]: legs, buffers and pipes are back where they were.

#![allow(missing_docs, unreachable_pub, reason = "a test program has no public items")]

mod alone;
mod closing;
mod connecting;
mod pattern;
mod receiving;
mod rig;
mod sending;
mod splicing;
mod starving;
mod waking;
mod watching;

use penstock_ring::{Epoll, Errno, Feature, Kernel, Mask, Options, SpliceMode, Uring};

/// A driver under test, with what is hidden from it.
pub struct Driver {
    /// Of the module that its tests are in.
    pub name: &'static str,
    pub make: fn(&Options) -> Result<Box<dyn Kernel>, Errno>,
    pub hidden: &'static [Feature],
    pub splice: SpliceMode,
}

impl Driver {
    /// `options` with what this driver is to do without.
    pub fn options(&self, options: Options) -> Options {
        let mask = self.hidden.iter().fold(Mask::default(), |mask, feature| mask.hide(*feature));
        Options { mask, splice: self.splice, ..options }
    }
}

macro_rules! cases {
    ($($file:ident: [$($test:ident,)*],)*) => {
        $($(
            #[test]
            fn $test() {
                crate::$file::$test(&DRIVER);
            }
        )*)*
    };
}

macro_rules! suite {
    ($name:ident, $make:expr, hides $hidden:expr, $splice:expr) => {
        mod $name {
            use super::*;

            const DRIVER: Driver = Driver {
                name: stringify!($name),
                make: |options| Ok(Box::new($make(options)?)),
                hidden: &$hidden,
                splice: $splice,
            };

            cases! {
                connecting: [
                    accepted_legs_have_addresses_and_the_listeners_owner,
                    a_refused_connection_says_so,
                    accepting_stops_and_starts,
                    more_connections_than_a_turn_accepts,
                    a_burst_of_tunnels_is_set_up_and_torn_down,
                    without_descriptors_accepting_pauses_and_recovers,
                ],
                receiving: [
                    a_stream_arrives_exactly_in_each_group,
                    bytes_that_came_before_receive_are_not_forgotten,
                    receiving_stops_once_and_starts_again,
                    a_stop_of_one_buffer_has_a_last_word,
                    bulk_comes_from_one_leg_in_a_turn,
                    a_stop_that_is_taken_back_loses_nothing,
                    a_fin_comes_after_the_bytes,
                    a_reset_is_no_clean_end,
                    five_bytes_and_a_fin_at_once_over_tcp,
                    five_bytes_and_a_fin_at_once_over_unix,
                    an_urgent_byte_stalls_nothing,
                    a_terminal_talks_and_hangs_up,
                    many_legs_share_a_turn,
                ],
                sending: [
                    small_chunks_arrive_in_order,
                    a_slow_reader_costs_what_the_caller_queues,
                    a_slow_readers_progress_is_told,
                    pooled_buffers_go_back_when_accepted,
                    pooled_buffers_go_back_when_their_leg_is_closed,
                    half_closed_streams_still_carry_the_other_way,
                    sending_to_a_gone_peer_fails,
                    a_terminal_accepts_what_it_can,
                ],
                starving: [
                    eight_buffers_serve_sixty_four_senders,
                    endless_floods_have_equal_shares,
                    who_waits_is_served_in_order_when_buffers_come_back,
                    closing_and_stopping_leave_the_line,
                    who_has_nothing_to_receive_does_not_hold_up_the_line,
                    of_bulk_nobody_waits,
                    what_is_queued_apart_counts_as_if_it_were_held,
                    the_reserve_hears_new_connections_while_relays_starve,
                ],
                splicing: [
                    a_spliced_stream_is_exact,
                    what_is_sent_ahead_comes_first_and_together_with_what_follows,
                    a_stuck_pipe_is_taken_out,
                    the_room_of_a_sink_is_told,
                    the_pipe_pool_is_bounded,
                    a_pipe_with_bytes_is_destroyed,
                    a_used_up_quota_means_copy,
                    without_splice_there_are_no_pipes,
                    who_splices_by_the_clock_sleeps_undisturbed,
                    the_intake_of_a_source_is_told,
                    a_broken_sink_is_told_apart_from_a_full_one,
                ],
                closing: [
                    a_duplicate_does_not_keep_the_peer_from_hearing_of_the_end,
                    everything_in_flight_comes_back,
                    a_driver_dropped_in_flight_gives_everything_back,
                    a_stale_handle_does_nothing,
                    a_reset_reaches_the_peer,
                    slots_change_tenants_under_late_outcomes,
                ],
                waking: [
                    another_thread_ends_a_wait,
                    no_wake_is_lost,
                    waking_a_driver_that_is_gone_harms_nobody,
                    a_wait_ends_in_time,
                    a_lone_wait_may_look_around,
                    a_short_sleep_is_short,
                ],
                watching: [
                    what_is_ready_already_is_told_at_once,
                    each_hint_is_asked_for,
                    a_full_socket_tells_when_it_accepts_again,
                    a_half_close_is_neither_room_nor_a_hang_up,
                    a_hang_up_is_heard_while_nothing_is_read,
                    what_is_no_longer_watched_is_silent,
                ],
            }
        }
    };
}

suite!(epoll, Epoll::new, hides [], SpliceMode::Inline);
suite!(epoll_copy, Epoll::new, hides[Feature::Splice], SpliceMode::Inline);
suite!(uring, Uring::new, hides [], SpliceMode::Inline);
suite!(uring_splices_by_ring, Uring::new, hides [], SpliceMode::Ring);
suite!(uring_one_shot, Uring::new, hides [
    Feature::MultishotReceive, Feature::MultishotAccept,
], SpliceMode::Inline);
suite!(uring_bare, Uring::new, hides [
    Feature::DeferTaskrun, Feature::RegisteredRing, Feature::RingMessage,
    Feature::Splice,
], SpliceMode::Inline);
