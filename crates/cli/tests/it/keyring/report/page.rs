//! The page of a report: the figures of the JSON that it contains, and nothing from elsewhere.

use super::*;

/// The number in an element with this mark, after this text of a page.
#[track_caller]
fn figure(page: &str, after: &str, mark: &str) -> u64 {
    let (_, remaining) = page
        .split_once(after)
        .unwrap_or_else(|| panic!("no {after} in {page}"));
    let mark = format!("{mark}\">");
    let (_, remaining) = remaining
        .split_once(&mark)
        .unwrap_or_else(|| panic!("no {mark} in {remaining}"));
    let digits: String = remaining
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == ',')
        .filter(char::is_ascii_digit)
        .collect();
    digits
        .parse()
        .unwrap_or_else(|_| panic!("no number behind {mark} in {remaining}"))
}

#[test]
fn a_page_shows_the_figures_of_the_json_that_it_carries() {
    let world = mixed(Lies::InTheServer);
    let (json, page) = both(&world);
    let begin = "<script type=\"application/json\" id=\"waxseal-report\">";
    let (_, carried) = page.split_once(begin).expect("it carries JSON");
    let (carried, _) = carried.split_once("</script>").expect("it ends");
    let (carried, written) = (parsed(carried), parsed(&json));
    assert_eq!(carried, written);
    let audit = &written["audit"];
    let number = |value: &Value| value.as_u64().unwrap();
    for word in ["total", "sealed", "plain", "unopenable"] {
        let mark = format!("data-figure=\"{word}");
        assert_eq!(
            figure(&page, "<body>", &mark),
            number(&audit["total"][word]),
            "{word}"
        );
    }
    for pattern in audit["patterns"].as_array().unwrap() {
        let row = format!("data-pattern=\"{}\"", pattern["records"].as_str().unwrap());
        let shown = |form: &str| figure(&page, &row, &format!("data-form=\"{form}"));
        let classic = number(&pattern["classic"]);
        assert_eq!(shown("sealed"), number(&pattern["sealed"]) - classic);
        assert_eq!(shown("classic"), classic);
        assert_eq!(shown("plain"), number(&pattern["plain"]));
        assert_eq!(shown("unreadable"), number(&pattern["unopenable"]));
    }
    for key in audit["keys"].as_array().unwrap() {
        let row = format!("<tr data-key=\"{}\">", key["id"].as_str().unwrap());
        assert_eq!(
            figure(&page, &row, "data-figure=\"values"),
            number(&key["values"])
        );
        let (_, remaining) = page.split_once(&row).unwrap();
        for word in ["state", "first_expiry", "last_expiry"] {
            let row = remaining.split("</tr>").next().unwrap();
            let told = key[word].as_str().unwrap_or("–");
            assert!(row.contains(told), "{told} in {row}");
        }
    }
    let groups = audit["patterns"].as_array().unwrap().iter();
    let groups: usize = groups
        .map(|it| it["groups"].as_array().unwrap().len())
        .sum();
    assert_eq!(page.matches("data-figure=\"group\"").count(), groups);
    assert!(page.contains("data-clean=\"false\">not clean<"), "{page}");
    assert!(page.contains("Conversations &lt;&amp;&gt;"), "{page}");
}

#[test]
fn a_page_needs_nothing_from_elsewhere_and_runs_nothing() {
    let world = mixed(Lies::InAFile);
    let (_, page) = both(&world);
    assert_eq!(page.matches("<script").count(), 1);
    for word in [
        "src=", "http://", "https://", "@import", "url(", "onload", "<iframe", "<form",
    ] {
        assert!(!page.contains(word), "{word} in {page}");
    }
    for word in [
        "lang=\"en\"",
        "width=device-width",
        "prefers-color-scheme: dark",
        "@media print",
    ] {
        assert!(page.contains(word), "no {word}");
    }
    let drawings = page.matches("<svg").count();
    let named = page.matches("aria-label").count() + page.matches("aria-hidden").count();
    assert!(drawings > 3 && drawings <= named);
    assert!(page.contains("<title id=\"expiries-") && page.contains("<desc id=\"expiries-"));
    assert_eq!(
        page.matches("<table>").count(),
        page.matches("<caption>").count()
    );
}
