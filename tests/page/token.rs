//! One token: its windows, its last hour as a picture, in words and as a table, and the way back.

use crate::browser::Browser;
use crate::service::Service;

#[tokio::test]
async fn a_token_has_its_windows_its_plot_and_a_way_back() {
    let service = Service::shared();
    let page = Browser::open_table(&service.url("/")).await;
    let token = page.text("rows()[0].cells[1].title.split('\\n').at(-1)").await;
    page.click("#body tr:first-child .symbol").await;
    page.until("!$('token-figures').hidden && !$('token-history').hidden").await;
    let opened = page.text("decodeURIComponent(location.hash)").await;
    let shown = page.text("$('token-address').textContent").await;
    assert_eq!(opened, format!("#/token/{shown}"));
    // Rows move: the one that was pressed is meant, and it was among the first a moment ago.
    println!("read {token}, opened {shown}");

    let told = service.json(&format!("/tokens/{shown}"));
    let told = told["aggregate_data"].as_array().unwrap();
    let names: Vec<&str> = told.iter().map(|one| one["time_window"].as_str().unwrap()).collect();
    let cards =
        page.text("[...document.querySelectorAll('.card h4')].map((h) => h.innerText).join()");
    assert_eq!(cards.await, names.join(","));
    page.run_async(AGREE, shown.clone().into()).await;

    let points = page.ask("$('plot-rows').rows.length").await.as_u64().unwrap();
    // One script for both: the next answer may have one more.
    let drawn = page.text("document.querySelector('#plot path.price').getAttribute('d')").await;
    assert!(points > 1, "a token that is traded all the time");
    assert_eq!(drawn.matches(['M', 'L']).count() as u64, points, "{drawn}");
    assert!(!drawn.contains("NaN") && !drawn.contains("Infinity"), "{drawn}");
    let words = page.text("$('plot-words').textContent").await;
    assert!(words.starts_with("From $") && words.contains("highest $"), "{words}");
    page.point_at("#plot").await;
    page.until("/UTC: \\$.* traded, .* buys, .* sells/.test($('plot-words').textContent)").await;
    assert_eq!(page.ask("document.querySelectorAll('#plot .cross').length").await, 2);

    page.click("#copy").await;
    page.until("$('toast').textContent === 'Address copied.'").await;
    page.back().await;
    page.until("!$('market').hidden && busy() === 'false' && filled()").await;
    page.click("#search").await;
    page.press_with_control('v').await;
    page.until(&format!("$('search').value === '{shown}'")).await;
    page.until("busy() === 'false' && rows().length === 1").await;
    page.leave().await;
}

#[tokio::test]
async fn a_token_that_nobody_trades_is_said_to_be_inactive() {
    let service = Service::shared();
    let page = Browser::open(&service.url("/#/token/no%2Fsuch%20%E2%82%ACtoken")).await;
    page.until("/^Not active/.test($('token-note').textContent)").await;
    assert_eq!(page.text("$('token-address').textContent").await, "no/such €token");
    assert_eq!(page.ask("$('token-figures').hidden && $('token-history').hidden").await, true);
    page.click("#back").await;
    page.until("busy() === 'false' && rows().length > 5").await;
    page.leave_but(&["404"]).await;
}

/// Done when each card says what the service says, of one and the same second.
const AGREE: &str = "
    const titles = (card) => [...card.querySelectorAll('dd')].map((dd) => dd.title).join();
    const plain = (text) => '$' + text.replace(/(\\.\\d*?)0+$/, '$1').replace(/\\.$/, '');
    const agree = async () => {
        const told = await (await fetch('/tokens/' + encodeURIComponent(argument))).json();
        const cards = [...document.querySelectorAll('.card')];
        const same = told.aggregate_data.every((one, place) => titles(cards[place]) === [
            plain(one.volume_usd), one.total_volume, one.buy_volume, one.sell_volume,
            one.total_trades.toLocaleString('en'), plain(one.open_price), plain(one.close_price),
        ].join());
        if (same) done(true); else setTimeout(agree, 20);
    };
    agree();
";
