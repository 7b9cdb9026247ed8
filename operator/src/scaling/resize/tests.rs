use super::*;
use crate::scaling::view::Role;

fn set(pods: &[&str]) -> BTreeSet<String> {
    pods.iter().map(|pod| (*pod).to_owned()).collect()
}

fn revision(name: &str, boosted: &[&str], stuck: &[&str]) -> Revision {
    Revision {
        name: name.to_owned(),
        role: Role::Serving,
        replicas: 1,
        generation: 1,
        version: "1".to_owned(),
        linger: Duration::from_secs(30),
        failed: false,
        pods: set(boosted),
        ready: BTreeSet::new(),
        marked: BTreeSet::new(),
        boosted: set(boosted),
        stuck: set(stuck),
        leaving: BTreeSet::new(),
        hidden: 0,
    }
}

struct Bench {
    resizes: Resizes,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        Self { resizes: Resizes::default(), now: Instant::now() }
    }

    /// The pods that are to be resized.
    fn step(&mut self, revisions: &[Revision], probed: &[&str]) -> Vec<String> {
        let steps = self.resizes.step(revisions, &set(probed), self.now);
        let name = |step| match step {
            Step::Resize { revision, pod } => format!("{revision} {pod}"),
            Step::Stuck { revision, pod } => format!("{revision} {pod} stuck"),
        };
        steps.into_iter().map(name).collect()
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
    }
}

const NOTHING: [&str; 0] = [];

#[test]
fn ready_pods_of_every_revision_are_resized_once() {
    let mut bench = Bench::new();
    let both = [revision("f-1", &["a"], &[]), revision("f-2", &["b", "c"], &[])];
    assert_eq!(bench.step(&both, &[]), NOTHING, "none is ready");
    assert_eq!(bench.step(&both, &["a", "b"]), ["f-1 a", "f-2 b"]);
    assert_eq!(bench.step(&both, &["a", "b"]), NOTHING, "asked already");
    assert_eq!(bench.step(&both, &["a", "b", "c"]), ["f-2 c"]);
    bench.resizes.answered("a", Resized::Done, bench.now);
    // The watch shows it.
    let done = [revision("f-1", &[], &[]), revision("f-2", &[], &[])];
    assert_eq!(bench.step(&done, &[]), NOTHING);
    assert!(bench.resizes.asked.is_empty());
}

#[test]
fn what_is_not_answered_or_not_seen_is_asked_again() {
    for answer in [None, Some(Resized::Done), Some(Resized::Gone)] {
        let mut bench = Bench::new();
        let one = [revision("f-1", &["a"], &[])];
        assert_eq!(bench.step(&one, &["a"]), ["f-1 a"]);
        if let Some(outcome) = answer.clone() {
            bench.resizes.answered("a", outcome, bench.now);
        }
        bench.wait(SEEN_WITHIN - Duration::from_millis(1));
        assert_eq!(bench.step(&one, &["a"]), NOTHING, "{answer:?}");
        bench.wait(Duration::from_millis(1));
        assert_eq!(bench.step(&one, &["a"]), ["f-1 a"], "{answer:?}");
    }
}

#[test]
fn failures_and_refusals_are_repeated_ever_more_rarely() {
    let mut bench = Bench::new();
    let one = [revision("f-1", &["a"], &[])];
    for pause in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300].map(Duration::from_secs) {
        assert_eq!(bench.step(&one, &["a"]), ["f-1 a"]);
        let outcome = if pause.as_secs() % 4 == 0 { Resized::Failed } else { Resized::Refused("no".to_owned()) };
        bench.resizes.answered("a", outcome, bench.now);
        bench.wait(pause - Duration::from_millis(1));
        assert_eq!(bench.step(&one, &["a"]), NOTHING, "{pause:?}");
        bench.wait(Duration::from_millis(1));
    }
    // A lease that is too short is no failure of the pod's.
    let mut bench = Bench::new();
    for _ in 0..5 {
        assert_eq!(bench.step(&one, &["a"]), ["f-1 a"]);
        bench.resizes.answered("a", Resized::NotNow, bench.now);
        assert_eq!(bench.step(&one, &["a"]), NOTHING);
        bench.wait(PAUSE);
    }
}

#[test]
fn a_refusal_stands_when_it_is_repeated() {
    let mut bench = Bench::new();
    let one = [revision("f-1", &["a"], &[])];
    let no = || Resized::Refused("no".to_owned());
    for (outcome, stands) in
        [(no(), false), (Resized::Failed, false), (no(), false), (no(), true), (no(), true), (Resized::Done, false)]
    {
        assert_eq!(bench.step(&one, &["a"]), ["f-1 a"]);
        let words = bench.resizes.answered("a", outcome, bench.now);
        assert_eq!(words.as_deref(), stands.then_some("no"));
        bench.wait(PAUSE_MOST);
    }
    assert_eq!(bench.resizes.answered("gone", no(), bench.now), None);
}

#[test]
fn a_pod_whose_node_refuses_is_told_of_once() {
    let mut bench = Bench::new();
    let stuck = [revision("f-1", &[], &["a"])];
    assert_eq!(bench.step(&stuck, &["a"]), ["f-1 a stuck"]);
    assert_eq!(bench.step(&stuck, &["a"]), NOTHING);
    assert_eq!(bench.step(&[], &[]), NOTHING);
    assert!(bench.resizes.stuck.is_empty(), "forgotten with the pod");
}
