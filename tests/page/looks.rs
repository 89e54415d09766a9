//! How it looks, wide and on a phone, in light and dark: nothing is wider than its screen, and the
//! pictures are kept for people.

use crate::browser::{Browser, PHONE, Screen, WIDE};
use crate::service::Service;

#[tokio::test]
async fn no_screen_is_too_narrow_and_each_has_its_picture() {
    let service = Service::shared();
    let page = Browser::open_table(&service.url("/")).await;
    for (name, screen) in [("wide", WIDE), ("phone", PHONE)] {
        for dark in [false, true] {
            let theme = if dark { "dark" } else { "light" };
            page.show_on(Screen { dark, ..screen }).await;
            fits(&page).await;
            page.picture(&format!("table-{name}-{theme}")).await;
            page.click("#body tr:first-child .symbol").await;
            page.until("!$('token-history').hidden && document.querySelector('#plot path')").await;
            fits(&page).await;
            page.picture(&format!("token-{name}-{theme}")).await;
            page.back().await;
            page.until("!$('market').hidden && busy() === 'false' && filled()").await;
        }
    }
    for width in [320, 480, 700, 900, 1_100, 1_920] {
        page.show_on(Screen { width, ..WIDE }).await;
        page.until(&format!("innerWidth === {width}")).await;
        fits(&page).await;
    }
    page.leave().await;
}

/// Nothing sticks out to the right, of the page or of a cell.
async fn fits(page: &Browser) {
    page.until("document.documentElement.scrollWidth <= innerWidth").await;
    page.until(
        "['scroller', 'token'].every((id) => $(id).scrollWidth <= $(id).clientWidth)
            && rows().every((row) => {
                return [...row.cells].at(-1).getBoundingClientRect().right <= innerWidth;
            })",
    )
    .await;
}

#[tokio::test]
async fn the_theme_is_the_systems_until_somebody_chooses_and_that_is_remembered() {
    let service = Service::shared();
    let page = Browser::open_on(&service.url("/"), Screen { dark: true, ..WIDE }).await;
    let ground = "getComputedStyle(document.body).backgroundColor";
    let dark = page.text(ground).await;
    page.show_on(WIDE).await;
    page.until(&format!("{ground} !== '{dark}' && $('theme').ariaPressed === 'false'")).await;
    page.click("#theme").await;
    page.until(&format!("{ground} === '{dark}' && $('theme').ariaPressed === 'true'")).await;
    page.reload().await;
    page.until(&format!("{ground} === '{dark}' && $('theme').ariaPressed === 'true'")).await;
    page.leave().await;
}
