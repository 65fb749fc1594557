//! Time of the engine's small parts, each alone.
//!
//! `cargo bench -p penstock-bench --bench micro [-- NAME]`. Time on a shared machine drifts: what is compared from change
//! to change are the counts of `instructions`.
#![forbid(unsafe_code)]

mod subjects;

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
// The ring crate's tag codec, compiled in as a file, looks for these at the root of its crate.
use penstock_ring::{op, table};

fn measure(criterion: &mut Criterion) {
    for subject in subjects::all() {
        let (area, what) = subject.name.split_once('/').expect("area/what");
        let mut group = criterion.benchmark_group(area);
        group.throughput(Throughput::Elements(subject.elements));
        let mut work = (subject.prepare)();
        group.bench_function(what, |bencher| bencher.iter(&mut work));
        group.finish();
    }
}

criterion_group! {
    name = micro;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1500));
    targets = measure
}
criterion_main!(micro);
