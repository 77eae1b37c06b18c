//! What somebody who waits is told.

use std::cell::RefCell;

use super::{Lab, Model, Options, Plan, days, forecast};
use crate::forecast::outlook::{Progress, forecast_watched};

#[test]
fn progress_goes_forward_and_no_further_than_it_says() {
    let nodes = Lab::new("v1.36.3", 1, 0).captured();
    for (plan, courses_min, courses_max) in [
        (None, 3, 6),
        (Some("- { every: 100d, renew: { restart: true } }"), 1, 5),
    ] {
        let options = Options {
            horizon: days(400),
            plan: plan.map(|step| {
                Plan::parse(&format!(
                    "apiVersion: certdrill/v1\nkind: Plan\nsteps:\n{step}"
                ))
                .unwrap()
            }),
        };
        let told: RefCell<Vec<Progress>> = RefCell::default();
        let watched = forecast_watched(&nodes, &options, &|| Box::new(Model), &|one| {
            told.borrow_mut().push(one);
        });
        // It changes nothing.
        assert_eq!(
            watched.unwrap(),
            forecast(&nodes, &options, &|| Box::new(Model)).unwrap()
        );
        let told = told.into_inner();
        let places: Vec<(u32, u32)> = told.iter().map(|one| (one.course, one.passed)).collect();
        assert!(places.is_sorted(), "{places:?}");
        let last = told.last().unwrap();
        assert_eq!(last.passed, 1_000);
        assert!(
            (courses_min..=courses_max).contains(&last.course),
            "{last:?}"
        );
        assert!(
            told.iter()
                .all(|one| one.courses_max == courses_max && one.passed <= 1_000)
        );
        // Not only at the ends of courses.
        assert!(
            told.iter().any(|one| (1..1_000).contains(&one.passed)),
            "{places:?}"
        );
    }
}
