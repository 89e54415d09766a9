//! Names and addresses of tokens are anybody's: whatever they contain is text. And figures of every
//! size are short enough to read and whole in the title. The market is made up.

use aggregator_service::domain::token::Shards;
use aggregator_service::local::LocalGroup;
use serde_json::json;

use crate::browser::Browser;
use crate::made_up::{row, server, server_in};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_and_addresses_are_text_whatever_they_contain() {
    let long = "a".repeat(124) + "Zend";
    let tokens = [
        ("0x1", "<img src=x onerror=alert(1)>", "</script><script>document.title='pwned'</script>"),
        ("a/b?c#d%2F&\"'", "\"><b>bold</b>", "' onmouseover='document.title=1"),
        ("javascript:document.title=1", "${1+1}", "{{1+1}}"),
        ("\u{202e}text", "\u{202e}evil\u{2066}", "with\u{200b}out"),
        (&long, "", ""),
        ("€uro/ü", "日本語", "شركة"),
    ];
    let made_up = tokens.map(|(token, symbol, name)| row(token, symbol, name, "1.5", "1.5"));
    let (url, _server) = server(made_up.to_vec()).await;
    let page = Browser::open_rows(&url).await;
    for (place, (token, symbol, name)) in tokens.into_iter().enumerate() {
        let cell = format!("rows()[{place}].cells[1]");
        let wanted = [symbol, name, token].into_iter().filter(|text| !text.is_empty());
        let wanted = wanted.map(seen).collect::<Vec<_>>().join("\n");
        assert_eq!(page.text(&format!("{cell}.title")).await, wanted);
        if !symbol.is_empty() {
            let shown = page.text(&format!("{cell}.querySelector('.symbol').textContent")).await;
            assert_eq!(shown, seen(symbol));
        }
        page.run(&format!("rows()[{place}].querySelector('a').click()")).await;
        page.until("!$('token-figures').hidden && !$('token-history').hidden").await;
        assert_eq!(page.text("$('token-address').textContent").await, seen(token));
        let opened = page.text("decodeURIComponent(location.hash.slice('#/token/'.length))").await;
        assert_eq!(opened, token);
        page.until("document.documentElement.scrollWidth <= innerWidth").await;
        page.until("$('token').scrollWidth <= $('token').clientWidth").await;
        page.back().await;
        page.until("!$('market').hidden && busy() === 'false' && filled()").await;
    }
    let made = page.ask("document.querySelectorAll('img, b:not(.sides b), script').length").await;
    assert_eq!(made, 1, "the page's own script and nothing else");
    assert_eq!(page.text("document.title").await, "Tokens · aggregator-service");
    page.leave().await;
}

/// As the page shows it: what cannot be seen, or turns text around, is a mark that can be seen.
fn seen(text: &str) -> String {
    text.replace(['\u{202e}', '\u{2066}', '\u{200b}'], "\u{fffd}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_of_every_size_are_short_to_read_and_whole_in_the_title() {
    let cases = [
        ("0", "$0", "$0"),
        ("0.00000001234", "$0.0₇1234", "$0.00000001234"),
        ("0.000000012345678", "$0.0₇1235", "$0.000000012345678"),
        ("0.000099999", "$0.0₃1000", "$0.000099999"),
        ("0.0012345", "$0.001235", "$0.0012345"),
        ("0.5", "$0.5000", "$0.5"),
        ("1.23456", "$1.235", "$1.23456"),
        ("99.999", "$100.00", "$99.999"),
        ("1234.5", "$1,234.50", "$1234.5"),
        ("1000000000000000", "$1,000,000,000,000,000.00", "$1000000000000000"),
    ];
    let made_up = cases.iter().enumerate();
    let made_up = made_up.map(|(place, (price, ..))| row(&format!("t{place}"), "", "", price, "1"));
    let (url, _server) = server(made_up.collect()).await;
    let page = Browser::open_rows(&url).await;
    for (place, (price, short, whole)) in cases.into_iter().enumerate() {
        let cell = format!("rows()[{place}].cells[2]");
        let shown = page.ask(&format!("[{cell}.textContent, {cell}.title]")).await;
        assert_eq!(shown, json!([short, whole]), "{price}");
    }
    // One minute with no trades, one hour with all of them.
    let cells = page.ask("[3, 4].map((place) => rows()[6].cells[place].textContent)").await;
    assert_eq!(cells, json!(["0.00%", "+23.46%"]));
    page.leave().await;
}

/// What a member says of itself is text, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_members_of_a_group_are_shown_with_their_shards() {
    let group = LocalGroup::with_standbys(Shards::DEFAULT, 1);
    let seat = group.join("a<b>", "10.0.0.1:8081");
    let other = group.join("b", "10.0.0.2:8081");
    let warm = other.assignment.borrow().clone().unwrap().warm.clone();
    other.ready.send_replace(warm);
    while other.assignment.borrow().clone().unwrap().shards.len() < 32 {
        tokio::task::yield_now().await;
    }
    let shards = seat.assignment.borrow().clone().unwrap().shards.clone();
    seat.held.send_replace(shards);
    let (url, _server) = server_in(seat, vec![row("t", "", "", "1", "1")]).await;
    let page = Browser::open_rows(&url).await;
    page.click("#more").await;
    page.until("$('details').querySelectorAll('table').length === 4").await;
    let cells =
        "[...$('details').lastChild.querySelectorAll('th, td')].map((it) => it.textContent)";
    let shown = page.ask(cells).await;
    let shares = ["10.0.0.1", "10.0.0.2"].map(|ip| format!("32 shards, 32 followed, at {ip}:8081"));
    let wanted = ["a<b> (this one)", &shares[0], "b", &shares[1]];
    assert_eq!(shown, json!(wanted));
    let title = page.text("$('details').lastChild.querySelector('h3').textContent").await;
    assert!(title.starts_with("Members, generation "), "{title}");
    page.leave().await;
}
