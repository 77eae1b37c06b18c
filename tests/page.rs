//! The HTML report in a real browser: it loads without errors, scrubbing changes what is shown, and the tables of
//! check-expiration are those that kubeadm prints at that instant.
//!
//! Skipped, with a notice, where there is no Chromium; never with `CERTDRILL_REQUIRE=chromium`.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a browser is started and reads files; a test may stop at what it did not expect"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use certdrill::report::html::{Item, page};
use certdrill::report::{Case, RunTrace};
use certdrill::run::parity;
use certdrill::run::trace::{Entry, Record, Value};
use certdrill::run::{PlayOptions, play};
use certdrill::scenario;

/// Time passes in every way, and kubeadm is asked on the way.
const TEXT: &str = "
apiVersion: certdrill/v1
kind: Scenario
metadata: { name: page, title: 'Everything <a page> & \"its\" data must bear </script><!--' }
spec:
  matrix: { version: [v1.16.15, v1.36.3] }
  cluster: { version: '{version}', start: 2026-01-01T00:00:00Z, nodes: { controlPlane: 1, worker: 1 } }
  steps:
    - checkExpiration: '@cp1'
    - walk: 200d
    - checkExpiration: '@cp1'
    - renew: { nodes: '@cp1', name: apiserver }
    - checkExpiration: '@cp1'
    - walk: 163d
    - checkExpiration: '@cp1'
    - walk: 47h
    - checkExpiration: '@cp1'
    - skew: { nodes: '@cp1', by: 31m }
    - checkExpiration: '@cp1'
    - walk: 1d
    - expect: { edge: 'user@cp1 -> apiserver', is: ok }
    - checkExpiration: '@cp1'
    - stepBack: 2d
    - checkExpiration: '@cp1'
    - walk: 3d
    - jump: 30d
    - checkExpiration: '@cp1'
";

/// A browser that shows its page to nobody draws no frames.
const FRAMES: &str = "<script>window.requestAnimationFrame = work => setTimeout(() => work(performance.now()), 5);</script>";

/// What the page says of itself, in a browser.
const PROBE: &str = "
<pre id=probe></pre>
<script>
(async () => {
  const frame = () => new Promise(done => setTimeout(done, 40));
  const view = certdrill.view(0), content = () => document.querySelector('.state').innerHTML;
  const out = { texts: [], tabs: {}, sideways: {}, lanes: 0, cursor: [] };
  for (const [seq, at] of ASKED) out.texts.push(view.text(0, 'cp1', seq, at));
  const slider = document.querySelector('input[type=range]');
  for (const tab of document.querySelectorAll('.side:first-child [data-tab]')) {
    tab.click();
    const seen = [];
    for (const value of [0, 1, 5300, 10000]) {
      slider.value = value;
      slider.dispatchEvent(new Event('input'));
      await frame();
      seen.push(content());
    }
    out.tabs[tab.dataset.tab] = new Set(seen).size;
    const box = document.querySelector('.state');
    out.sideways[tab.dataset.tab] = box.scrollWidth - box.clientWidth;
  }
  const when = () => document.querySelector('.when').textContent;
  const plot = document.querySelector('.plot');
  const key = async key => { plot.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true })); await frame(); return when(); };
  out.cursor = [await key('Home'), await key('ArrowRight'), await key('End')];
  out.lanes = document.querySelectorAll('.lane-bg').length;
  document.querySelector('.bar input[type=checkbox]').click();
  await frame();
  out.everyLane = document.querySelectorAll('.lane-bg').length;
  const ticks = () => document.querySelector('.axis').textContent;
  const wide = ticks();
  view.zoom(0.01);
  await frame();
  out.zoomed = ticks() !== wide;
  out.wider = document.documentElement.scrollWidth - innerWidth;
  out.views = document.querySelectorAll('.plot').length;
  (parent === window ? document : parent.document).getElementById('probe').textContent = JSON.stringify(out);
})().catch(error => console.error(error));
</script>";

fn chromium() -> Option<PathBuf> {
    let named = std::env::var_os("CERTDRILL_CHROMIUM").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = named.or_else(|| {
        std::env::split_paths(&path).find_map(|dir| {
            ["chromium", "chromium-browser", "google-chrome"]
                .iter()
                .map(|name| dir.join(name))
                .find(|file| file.is_file())
        })
    });
    let required = std::env::var("CERTDRILL_REQUIRE")
        .is_ok_and(|list| list.split(',').any(|one| one == "chromium"));
    assert!(
        found.is_some() || !required,
        "CERTDRILL_REQUIRE says chromium, and there is none: ci/tools.sh installs it"
    );
    if found.is_none() {
        eprintln!("skipped: there is no Chromium here (CERTDRILL_CHROMIUM names one)");
    }
    found
}

/// The narrowest window that this browser opens. Anything below is a frame in a page.
const WINDOW_MIN: u32 = 500;

/// A page with a frame as wide as a phone, in which another page is.
fn framed(html: &str, width: u32) -> String {
    let text = serde_json::to_string(html).unwrap().replace('<', "\\u003c");
    format!(
        "<!DOCTYPE html><pre id=probe></pre><iframe style='border:0;width:{width}px;height:844px'></iframe>\
         <script>document.querySelector('iframe').srcdoc = {text};</script>"
    )
}

/// Opens a page with the probe and gives back what it says, and the console.
fn probe(browser: &Path, html: &str, asked: &[(u64, i64)], width: u32) -> serde_json::Value {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("page.html");
    let asked = serde_json::to_string(asked).unwrap();
    let probe = PROBE.replace("ASKED", &asked);
    let html = html
        .replacen("<style>", &format!("{FRAMES}<style>"), 1)
        .replace("</body>", &format!("{probe}</body>"));
    let html = if width < WINDOW_MIN {
        framed(&html, width)
    } else {
        html
    };
    std::fs::write(&file, html).unwrap();
    let output = Command::new(browser)
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--enable-logging=stderr",
            "--v=0",
            "--virtual-time-budget=20000",
            "--dump-dom",
        ])
        .arg(format!("--window-size={},900", width.max(WINDOW_MIN)))
        .arg(format!(
            "--user-data-dir={}",
            folder.path().join("profile").display()
        ))
        .arg(format!("file://{}", file.display()))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let console: Vec<&str> = stderr
        .lines()
        .filter(|line| line.contains("CONSOLE"))
        .collect();
    assert!(console.is_empty(), "the console is not empty: {console:#?}");
    let dom = String::from_utf8_lossy(&output.stdout);
    let said = dom
        .split("<pre id=\"probe\">")
        .nth(1)
        .and_then(|rest| rest.split("</pre>").next())
        .unwrap_or_else(|| panic!("the page says nothing: {stderr}\n{dom}"));
    let plain = said
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&");
    serde_json::from_str(&plain).unwrap_or_else(|error| panic!("{error}: {plain}"))
}

/// When kubeadm was asked, and what it printed.
fn asked(records: &[Record]) -> Vec<(u64, i64, String)> {
    let start = RunTrace::new(records)
        .unwrap()
        .header()
        .start
        .as_millisecond();
    let mut answers = Vec::new();
    for record in records {
        if let Entry::Observation(seen) = &record.entry
            && (seen.kind.as_str(), seen.aspect.as_str()) == ("command", "stdout")
            && let Value::Exact(text) = &seen.value
            && text
                .as_str()
                .is_some_and(|text| text.contains("RESIDUAL TIME"))
        {
            let at = record.at.as_millisecond() - start;
            answers.push((record.seq, at, text.as_str().unwrap().to_owned()));
        }
    }
    answers
}

#[test]
fn the_page_loads_scrubs_and_says_what_kubeadm_says() {
    let Some(browser) = chromium() else { return };
    for scenario in scenario::load("page.yaml", TEXT).unwrap() {
        let run = play(&scenario, &PlayOptions { seed: 3 });
        let answers = asked(&run.records);
        assert_eq!(answers.len(), 9, "{:?}", scenario.variant);
        let trace = RunTrace::new(&run.records).unwrap();
        let html = page(&[Item::Run(Case::Played {
            trace,
            source: Some(TEXT),
        })]);
        assert!(!html.contains("<a page>"), "texts are escaped");
        let questions: Vec<(u64, i64)> = answers.iter().map(|(seq, at, _)| (*seq, *at)).collect();
        let said = probe(&browser, &html, &questions, 1400);
        for ((_, at, printed), shown) in answers.iter().zip(said["texts"].as_array().unwrap()) {
            assert_eq!(shown, printed, "at {at} ms, {:?}", scenario.variant);
        }
        for tab in [
            "Certificates",
            "Edges",
            "Processes",
            "check-expiration",
            "Events",
        ] {
            assert!(
                said["tabs"][tab].as_u64().unwrap() >= 3,
                "scrubbing changes {tab}: {said}"
            );
        }
        assert!(said["tabs"]["CSRs"].as_u64().unwrap() >= 2, "{said}");
        let cursor = said["cursor"].as_array().unwrap();
        assert!(
            cursor[0] != cursor[1] && cursor[1] != cursor[2],
            "keys move the cursor: {cursor:?}"
        );
        assert!(said["lanes"].as_u64().unwrap() >= 15, "{said}");
        assert!(
            said["everyLane"].as_u64() > said["lanes"].as_u64(),
            "{said}"
        );
        assert_eq!(said["zoomed"], true);
    }
}

#[test]
fn two_runs_stand_side_by_side_and_nothing_is_wider_than_a_phone() {
    let Some(browser) = chromium() else { return };
    let scenario = scenario::load("page.yaml", TEXT).unwrap().remove(1);
    let [first, second] = [1, 2].map(|seed| play(&scenario, &PlayOptions { seed }));
    let comparison = parity::compare(&first.records, &second.records);
    let html = page(&[Item::Pair {
        first: RunTrace::new(&first.records).unwrap(),
        second: RunTrace::new(&second.records).unwrap(),
        comparison: &comparison,
        agree: false,
        source: Some(TEXT),
    }]);
    let said = probe(&browser, &html, &[], 1400);
    assert_eq!(said["views"], 2);
    for width in [WINDOW_MIN, 390] {
        let said = probe(&browser, &html, &[], width);
        assert!(
            said["wider"].as_i64().unwrap() <= 0,
            "something sticks out to the side at {width}: {said}"
        );
        // Tables are cards, which nobody has to move to the side. What kubeadm prints keeps its columns.
        for (tab, sideways) in said["sideways"].as_object().unwrap() {
            let fits = sideways.as_i64().unwrap() <= 0;
            assert!(
                fits || tab == "check-expiration",
                "{tab} at {width}: {said}"
            );
        }
    }
}

#[test]
fn a_long_run_of_many_nodes_stays_small_and_needs_no_network() {
    let text = "
apiVersion: certdrill/v1
kind: Scenario
metadata: { name: long, title: Three years of three control planes }
spec:
  cluster: { version: v1.36.3, keyAlgorithm: ECDSA-P256, nodes: { controlPlane: 3, worker: 2 } }
  steps:
    - walk: 300d
    - renew: { nodes: '@cp*', name: all }
    - reboot: '@cp*'
    - walk: 300d
    - renew: { nodes: '@cp*', name: all }
    - reboot: '@cp1'
    - walk: 495d
";
    let scenario = scenario::load("long.yaml", text).unwrap().remove(0);
    let run = play(&scenario, &PlayOptions { seed: 0 });
    let html = page(&[Item::Run(Case::Played {
        trace: RunTrace::new(&run.records).unwrap(),
        source: None,
    })]);
    assert!(html.len() < 2_000_000, "{} bytes", html.len());
    // A run that others are like costs little more: its texts are there already.
    let item = Item::Run(Case::Played {
        trace: RunTrace::new(&run.records).unwrap(),
        source: None,
    });
    let texts = |html: &str| {
        let block = html.split("id=\"texts\"").nth(1).unwrap();
        block.split("</script>").next().unwrap().len()
    };
    assert_eq!(texts(&page(&[item, item])), texts(&html));
    for outside in ["src=", "@import", "url(http", "<link", "fetch("] {
        assert!(!html.contains(outside), "{outside}");
    }
}
