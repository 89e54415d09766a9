//! "Publish now": for whoever brings the token, and what comes of it is said.

use serde_json::json;

use crate::browser::Browser;
use crate::service::Service;

#[tokio::test]
async fn publishing_asks_for_the_token_until_it_is_right_and_says_what_came_of_it() {
    let service = Service::start(&[("ADMIN_TOKEN", "open sesame")]);
    let page = Browser::open_table(&service.url("/")).await;
    page.click("#publish-all").await;
    page.until("$('ask').open && document.activeElement.id === 'ask-token'").await;
    page.write("#ask-token", "guess\n").await;
    page.until("$('ask').open && /not the right one/.test($('ask').innerText)").await;
    page.write("#ask-token", "open sesame\n").await;
    page.until("!$('ask').open && /^Published [\\d,]+ messages\\.$/.test($('toast').textContent)")
        .await;
    let told = page.text("$('toast').textContent").await;
    let published: u64 = told.replace(|c: char| !c.is_ascii_digit(), "").parse().unwrap();
    assert!(published > 5_000, "{told}");

    page.click("#body tr:first-child .symbol").await;
    page.until("!$('token-figures').hidden").await;
    page.click("#publish-one").await;
    page.until("$('toast').textContent === 'Published 1 message.'").await;
    let kept = page.ask("[document.cookie, Object.keys(localStorage).length]").await;
    assert_eq!(kept, json!(["", 0]), "the token is kept nowhere");
    page.leave_but(&["401"]).await;
}

#[tokio::test]
async fn without_a_token_configured_it_is_published_from_this_host() {
    let service = Service::shared();
    let page = Browser::open_table(&service.url("/")).await;
    page.click("#publish-all").await;
    page.until("/^Published [\\d,]+ messages\\.$/.test($('toast').textContent)").await;
    page.leave().await;
}
