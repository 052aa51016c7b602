//! The tables of the report, and the checks of limits.

use crate::rounds::{Case, Envelope, Operation, SideName, Spread};

/// The maximum ratio of `Sealer` to the primitive called by hand.
const BY_HAND_BAR: f64 = 1.15;
/// The maximum ratio of a stored name to the library's AES-SIV alone.
const NAME_BAR: f64 = 0.8;
/// The minimum ratio of Node to `Sealer`, at 1 KiB.
const NODE_BAR: f64 = 8.0;
/// The maximum ratio of the key of a user to the ring.
const USER_KEY_BAR: f64 = 1.25;
/// The maximum ratio of version 3 to version 2.
const VERSION_3_BAR: f64 = 1.05;
/// The minimum length of values for the limits of envelopes with a nonce: fixed costs dominate below it.
const SHORTEST_OF_BARS: usize = 256;

pub(crate) fn print(cases: &[Case]) {
    for envelope in [
        Envelope::Classic,
        Envelope::Version2,
        Envelope::Version3,
        Envelope::Deterministic,
        Envelope::Name,
    ] {
        for operation in [Operation::Seal, Operation::Open] {
            println!("\n{}, {envelope}", verb(operation));
            println!("{}", header(envelope));
            for case in cases {
                if case.envelope == envelope && case.operation == operation {
                    println!("{}", row(case));
                }
            }
        }
    }
    println!();
    print_bars(cases);
}

fn header(envelope: Envelope) -> String {
    let front = format!(
        "{:>8}  {:>9}  {:>9}  {:<20}",
        "value", "by hand", "Sealer", "Sealer/by hand"
    );
    match envelope {
        Envelope::Classic => format!(
            "{front}  {:>9}  {:<20}  {:>10}  Node/Sealer",
            "Node text", "Node/Sealer", "Node bytes"
        ),
        Envelope::Version2 => format!(
            "{front}  {:<20}  {:>9}  Sealer/limit",
            "user/ring key", "limit"
        ),
        Envelope::Version3 => format!("{front}  {:<20}  version 3/2", "user/ring key"),
        Envelope::Deterministic => format!("{front}  prepared each time/by hand"),
        Envelope::Name => front,
    }
}

fn row(case: &Case) -> String {
    let front = format!(
        "{:>8}  {}  {}  {}",
        length(case.size),
        time(case, SideName::ByHand),
        time(case, SideName::Sealer),
        ratio(case, SideName::Sealer, SideName::ByHand),
    );
    match case.envelope {
        Envelope::Classic => format!(
            "{front}  {}  {}   {}  {}",
            time(case, SideName::NodeText),
            ratio(case, SideName::NodeText, SideName::Sealer),
            time(case, SideName::NodeBytes),
            ratio(case, SideName::NodeBytes, SideName::Sealer),
        ),
        Envelope::Version2 => format!(
            "{front}  {}  {}  {}",
            ratio(case, SideName::UserKey, SideName::Sealer),
            time(case, SideName::Limit),
            ratio(case, SideName::Sealer, SideName::Limit),
        ),
        Envelope::Version3 => format!(
            "{front}  {}  {}",
            ratio(case, SideName::UserKey, SideName::Sealer),
            ratio(case, SideName::Sealer, SideName::Version2),
        ),
        Envelope::Deterministic => format!(
            "{front}  {}",
            ratio(case, SideName::PreparedEachTime, SideName::ByHand),
        ),
        Envelope::Name => front,
    }
}

fn time(case: &Case, side: SideName) -> String {
    let Some(side) = case.side(side) else {
        return format!("{:>9}", "-");
    };
    format!("{:>9.3}", Spread::of(side.seconds.clone()).median * 1e6)
}

fn ratio(case: &Case, side: SideName, over: SideName) -> String {
    let Some(Spread { median, min, max }) = case.ratio(side, over) else {
        return format!("{:<20}", "-");
    };
    format!("{:<20}", format!("{median:.2} ({min:.2} to {max:.2})"))
}

fn print_bars(cases: &[Case]) {
    let is_long =
        |case: &&Case| case.size >= SHORTEST_OF_BARS || case.envelope == Envelope::Deterministic;
    let long: Vec<&Case> = cases.iter().filter(is_long).collect();
    for operation in [Operation::Seal, Operation::Open] {
        let worst = worst(&long, |case| {
            let ratio = case.ratio(SideName::Sealer, SideName::ByHand)?;
            (case.operation == operation).then_some(ratio.median)
        });
        let what = format!("{} <= {BY_HAND_BAR} x by hand", verb(operation));
        print_bar(&what, worst, |ratio| ratio - BY_HAND_BAR);
    }
    let names: Vec<&Case> = cases
        .iter()
        .filter(|case| case.envelope == Envelope::Name)
        .collect();
    let worst_name = worst(&names, |case| {
        Some(case.ratio(SideName::Sealer, SideName::ByHand)?.median)
    });
    let what = format!("a stored name <= {NAME_BAR} x the library's AES-SIV");
    print_bar(&what, worst_name, |ratio| ratio - NAME_BAR);
    let worst_user = worst(&long, |case| {
        Some(case.ratio(SideName::UserKey, SideName::Sealer)?.median)
    });
    let what = format!("a user's key <= {USER_KEY_BAR} x the ring's");
    print_bar(&what, worst_user, |ratio| ratio - USER_KEY_BAR);
    let worst_version_3 = worst(&long, |case| {
        Some(case.ratio(SideName::Sealer, SideName::Version2)?.median)
    });
    let what = format!("version 3 <= {VERSION_3_BAR} x version 2");
    print_bar(&what, worst_version_3, |ratio| ratio - VERSION_3_BAR);
    for (node, kind) in [
        (SideName::NodeText, "text to text"),
        (SideName::NodeBytes, "bytes to bytes"),
    ] {
        // The smallest ratio of Node is the worst: compared by its inverse.
        let worst = worst(&long, |case| {
            let ratio = case.ratio(node, SideName::Sealer)?;
            (case.size == 1024).then_some(-ratio.median)
        });
        let worst = worst.map(|(ratio, case)| (-ratio, case));
        let what = format!("classic at 1 KiB >= {NODE_BAR} x Node's rate, {kind}");
        print_bar(&what, worst, |ratio| NODE_BAR - ratio);
    }
}

fn worst<'c>(cases: &[&'c Case], figure: impl Fn(&Case) -> Option<f64>) -> Option<(f64, &'c Case)> {
    let figures = cases.iter().filter_map(|case| Some((figure(case)?, *case)));
    figures.max_by(|(a, _), (b, _)| a.total_cmp(b))
}

/// A limit; `missing` is the distance of a figure on the wrong side of it.
fn print_bar(what: &str, worst: Option<(f64, &Case)>, missing: impl Fn(f64) -> f64) {
    let Some((figure, case)) = worst else {
        println!("bar: {what}: not measured");
        return;
    };
    let missing = missing(figure);
    let outcome = if missing > 0.0 {
        format!("missed by {missing:.2}")
    } else {
        "holds".to_owned()
    };
    println!(
        "bar: {what}: {outcome} (worst {figure:.2}: {}, {}, {})",
        verb(case.operation),
        case.envelope,
        length(case.size),
    );
}

fn verb(operation: Operation) -> &'static str {
    match operation {
        Operation::Seal => "seal",
        Operation::Open => "open",
    }
}

fn length(bytes: usize) -> String {
    match bytes {
        1024.. => format!("{} KiB", bytes / 1024),
        _ => format!("{bytes} B"),
    }
}
