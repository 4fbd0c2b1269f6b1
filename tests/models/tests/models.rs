//! Runs the models of `kv_models`. `KV_MODEL_SCHEDULES` sets how many orders each tries (3,000).

use kv_models::file::wake_ups::{self, syncs, writers};
use kv_models::pager::models::{commits, readers, Fault};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

static TRIED: AtomicU64 = AtomicU64::new(0);

fn schedules() -> usize {
    let told = std::env::var("KV_MODEL_SCHEDULES").ok();
    told.map_or(3_000, |n| n.replace('_', "").parse().expect("a number"))
}

/// The model in so many orders: half random, half with few but well-placed switches.
fn check<F: Copy + Send + Sync + 'static>(model: fn(F), fault: F, schedules: usize) {
    let counted = move || {
        TRIED.fetch_add(1, SeqCst);
        model(fault);
    };
    shuttle::check_random(counted, schedules / 2);
    shuttle::check_pct(counted, schedules / 2, 3);
}

fn caught<F: Copy + Send + Sync + 'static>(model: fn(F), fault: F) -> bool {
    !holds(model, fault, schedules().max(40_000))
}

fn holds<F: Copy + Send + Sync + 'static>(model: fn(F), fault: F, schedules: usize) -> bool {
    catch_unwind(AssertUnwindSafe(|| check(model, fault, schedules))).is_ok()
}

#[test]
fn models_hold_and_their_twins_do_not() {
    let (mut passed, mut failed) = (0, 0);
    let mut count = |name: &str, good: bool| {
        if good {
            passed += 1;
        } else {
            failed += 1;
            println!("FAILED {name}");
        }
    };
    // A failure here prints the schedule that shows it.
    for (name, model) in [("readers", readers as fn(Fault)), ("commits", commits)] {
        count(name, holds(model, Fault::None, schedules()));
    }
    for (name, model) in [("writers", writers as fn(wake_ups::Fault)), ("syncs", syncs)] {
        count(name, holds(model, wake_ups::Fault::None, schedules()));
    }
    for fault in [Fault::NoSecondLook, Fault::ReadersFirst] {
        count(&format!("{fault:?} goes unnoticed"), caught(readers, fault));
    }
    let wrong = [
        Fault::DurableFirst,
        Fault::AnySlot,
        Fault::NoSecondTip,
        Fault::ShownEarly,
        Fault::IdLate,
        Fault::ListedLate,
    ];
    for fault in wrong {
        count(&format!("{fault:?} goes unnoticed"), caught(commits, fault));
    }
    use wake_ups::Fault::{NoLook, WakeAnyOne, WakeDoneOnly, WakeEarly};
    for fault in [WakeEarly, NoLook] {
        count(&format!("{fault:?} goes unnoticed"), caught(writers, fault));
    }
    for fault in [NoLook, WakeAnyOne, WakeDoneOnly] {
        count(&format!("{fault:?} goes unnoticed"), caught(syncs, fault));
    }
    println!(
        "models: {passed} passed, {failed} failed ({} schedules)",
        TRIED.load(SeqCst)
    );
    assert_eq!(failed, 0);
}
