//! For people who read by ear, by keyboard or with weak eyes: names, roles, contrast, order, focus;
//! and for all, that names of tokens are text whatever they contain.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use thirtyfour::Key;

use crate::browser::{Browser, PHONE, Screen, WIDE};
use crate::service::Service;

#[tokio::test]
async fn nothing_keeps_anybody_out_in_either_theme_and_on_either_screen() {
    let service = Service::shared();
    let page = Browser::open_table(&service.url("/")).await;
    page.click("#more").await;
    page.until("!$('details').hidden && $('more').ariaExpanded === 'true'").await;
    for screen in [WIDE, PHONE] {
        for dark in [false, true] {
            page.show_on(Screen { dark, ..screen }).await;
            assert_no_complaints(&page).await;
            page.click("#body tr:first-child .symbol").await;
            page.until("!$('token-history').hidden && document.querySelector('#plot path')").await;
            page.run("$('plot-details').open = true").await;
            assert_no_complaints(&page).await;
            page.back().await;
            page.until("!$('market').hidden && busy() === 'false' && filled()").await;
        }
    }
    page.leave().await;
}

async fn assert_no_complaints(page: &Browser) {
    // A price that has just moved shines for a moment.
    page.run("document.getAnimations().forEach((one) => one.finish())").await;
    let complaints = page.run(include_str!("accessibility.js")).await;
    assert_eq!(complaints, json!([]), "{complaints:#}");
}

/// The complaints are no empty words.
#[tokio::test]
async fn what_keeps_people_out_is_found() {
    let service = Service::shared();
    let page = Browser::open_table(&service.url("/")).await;
    page.run("document.documentElement.lang = ''").await;
    page.run("$('theme').removeAttribute('aria-label'); $('theme').tabIndex = 3").await;
    page.run("$('more').id = 'search'; $('count').style.color = 'silver'").await;
    page.run("$('market-title').outerHTML = '<h4>Tokens</h4>'").await;
    let found = page.run(include_str!("accessibility.js")).await.to_string();
    for complaint in [
        "no language",
        "no name",
        "its own order of tabs",
        "the id is used twice",
        "contrast 1.",
        "points nowhere",
        "a heading of level 4 after 2",
    ] {
        assert!(found.contains(complaint), "{complaint}: {found}");
    }
    page.leave().await;
}

#[tokio::test]
async fn every_control_is_reached_by_tab_and_shows_that_it_is() {
    let service = Service::shared();
    let page = Browser::open_table(&service.url("/")).await;
    let controls = page.ask(CONTROLS).await.as_u64().unwrap();
    let mut reached = BTreeSet::new();
    page.run("document.activeElement.blur()").await;
    for _ in 0..controls {
        page.press(Key::Tab).await;
        let focus = page.ask(FOCUS).await;
        assert_eq!(focus["seen"], true, "{focus}");
        reached.insert(focus["which"].as_str().unwrap().to_owned());
    }
    assert_eq!(reached.len() as u64, controls, "{reached:#?}");
    page.leave().await;
}

#[tokio::test]
async fn who_wants_no_motion_gets_none() {
    let service = Service::shared();
    let page = Browser::open_table(&service.url("/")).await;
    page.until("document.getAnimations().length > 0").await;
    let features = json!([{ "name": "prefers-reduced-motion", "value": "reduce" }]);
    page.devtools("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    page.until("document.getAnimations().length === 0").await;
    // Through the next events, too: prices have moved by then.
    let moved = page.run_async(MOVED, Value::Null).await;
    assert_eq!(moved, json!(0));
    page.leave().await;
}

/// How many there are to reach; of radio buttons the chosen one, the arrows do the rest.
const CONTROLS: &str = "
    [...document.querySelectorAll('button, input, a[href], [tabindex]')]
        .filter((node) => node.tabIndex === 0 && node.checkVisibility())
        .filter((node) => node.type !== 'radio' || node.checked).length";

/// What has the focus, and whether it, or what stands round it, has a ring.
const FOCUS: &str = "(() => {
    const node = document.activeElement;
    const ringed = (one) => Boolean(one) && getComputedStyle(one).outlineStyle !== 'none'
        && parseFloat(getComputedStyle(one).outlineWidth) >= 2;
    return {
        which: node.tagName + ' ' + node.id + ' ' + (node.dataset.column ?? node.value ?? ''),
        seen: [node, node.closest('label'), node.closest('.frame')].some(ringed),
    };
})()";

/// The animations that run after three prices have changed.
const MOVED: &str = "
    let changes = 0;
    const observer = new MutationObserver((all) => {
        changes += all.filter((one) => one.target.closest?.('.price')).length;
        if (changes < 3) return;
        observer.disconnect();
        done(document.getAnimations().length);
    });
    observer.observe($('body'), { subtree: true, childList: true, characterData: true });
";
