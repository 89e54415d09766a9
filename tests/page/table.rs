//! The table: ten thousand tokens of which only those in sight are there; sorting, searching,
//! picking a window, scrolling, and all of that by keyboard.

use serde_json::Value;
use thirtyfour::Key;

use crate::browser::Browser;
use crate::service::Service;

#[tokio::test]
async fn rows_of_ten_thousand_tokens_come_at_once_and_are_sorted_by_each_column() {
    let service = Service::shared();
    let page = Browser::open_table(&service.url("/")).await;
    let painted = "performance.getEntriesByName('first-contentful-paint')[0].startTime";
    let rows_at = "performance.getEntriesByName('first rows')[0].startTime";
    println!("first paint after {:.0} ms", page.number(painted).await);
    println!("first rows after {:.0} ms", page.number(rows_at).await);
    assert!(page.number("Number($('grid').ariaRowCount)").await > 5_000.0);
    assert!(page.number("rows().length").await < 60.0, "more than a screen shows");

    let columns = page.ask("heads().map((th) => th.querySelector('button')?.dataset.column)").await;
    let columns: Vec<&str> = columns.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let windows = columns.iter().filter(|column| column.starts_with("price_change.")).count();
    assert_eq!((windows, columns.len()), (5, 10), "{columns:?}");
    for column in columns {
        let natural = ["ascending", "descending"];
        let orders = if column == "token" { natural } else { [natural[1], natural[0]] };
        for order in orders {
            let took = page.run_async(SORT, column.into()).await;
            let took = took.as_f64().unwrap();
            println!("{column} {order}: {took:.0} ms from the click to the rows");
            assert_sorted(&page, column, order).await;
        }
    }
    page.leave().await;
}

/// The values of a column, in full, are in that order, and the head says so.
async fn assert_sorted(page: &Browser, column: &str, order: &str) {
    let head = format!("document.querySelector('[data-column=\"{column}\"]').parentNode");
    assert_eq!(page.text(&format!("{head}.ariaSort")).await, order);
    let sorted = "heads().filter((th) => /ending/.test(th.ariaSort)).length";
    assert_eq!(page.ask(sorted).await, 1, "one column alone is sorted");
    let cells = format!("rows().map((row) => full(row.cells[heads().indexOf({head})]))");
    let cells = page.ask(&cells).await;
    let cells: Vec<&str> = cells.as_array().unwrap().iter().map(|c| c.as_str().unwrap()).collect();
    assert!(cells.len() > 10, "{cells:?}");
    let sorted = if column == "token" {
        let address = |cell: &&str| cell.lines().last().unwrap().to_owned();
        let addresses: Vec<String> = cells.iter().map(address).collect();
        is_sorted(&addresses, order)
    } else {
        is_sorted(&cells.iter().map(|cell| figure(cell)).collect::<Vec<_>>(), order)
    };
    assert!(sorted, "{column} is not {order}: {cells:?}");
}

fn is_sorted<T: PartialOrd>(values: &[T], order: &str) -> bool {
    match order {
        "ascending" => values.is_sorted(),
        _ => values.is_sorted_by(|one, next| one >= next),
    }
}

/// A figure as a title has it: `$0.00012`, `-2.5 %`, `7 buys, 3 sells`, which add up.
fn figure(cell: &str) -> f64 {
    let numbers =
        cell.split([' ', '$']).filter_map(|word| word.replace(',', "").parse::<f64>().ok());
    numbers.sum()
}

#[tokio::test]
async fn a_search_and_another_window_change_what_is_shown_and_a_link_keeps_both() {
    let service = Service::shared();
    let page = Browser::open_table(&service.url("/")).await;
    let all = page.number("Number($('grid').ariaRowCount)").await;
    let address =
        service.json("/tokens?limit=1")["tokens"][0]["token"].as_str().unwrap().to_owned();
    let wanted = address[8..14].to_lowercase();
    page.press('/').await;
    assert_eq!(page.text("document.activeElement.id").await, "search");
    page.write("#search", &wanted).await;
    page.until("busy() === 'false' && Number($('grid').ariaRowCount) < 100").await;
    let titles = page.text("rows().map((row) => full(row.cells[1])).join(' | ')").await;
    assert!(titles.split(" | ").all(|title| title.to_lowercase().contains(&wanted)), "{titles}");
    assert!(page.text("$('count').textContent").await.contains(" of "));
    page.until("/match/.test($('toast').textContent)").await;

    page.click("#windows label:nth-child(3)").await;
    page.until("busy() === 'false' && heads().some((th) => th.innerText === 'Volume 15min')").await;
    page.reload().await;
    page.until("busy() === 'false' && Number($('grid').ariaRowCount) < 100").await;
    assert_eq!(page.text("$('search').value").await, wanted);
    assert_eq!(page.text("$('windows').querySelector(':checked').value").await, "15min");

    page.write("#search", "no such token").await;
    page.until("/No active token matches/.test($('note').innerText)").await;
    page.press(Key::Escape).await;
    assert_eq!(page.text("document.activeElement.id").await, "grid");
    page.until(&format!("busy() === 'false' && Number($('grid').ariaRowCount) > {}", all / 2.0))
        .await;
    page.leave().await;
}

#[tokio::test]
async fn scrolling_finds_every_rank_and_the_keyboard_goes_everywhere() {
    let service = Service::shared();
    let page = Browser::open_table(&service.url("/")).await;
    for part in [0.5, 0.25, 1.0] {
        let to = format!("$('scroller').scrollTop = $('scroller').scrollHeight * {part}");
        page.ask(&to).await;
        page.until("filled() && inSight().length > 5").await;
        // Every row stands where its rank says, whatever the height of a row.
        let places = "inSight().every((row) => {
            const top = row.getBoundingClientRect().top - $('body').getBoundingClientRect().top;
            return Math.abs(top / row.offsetHeight - (row.ariaRowIndex - 2)) < 0.01
                && row.cells[0].textContent.replace(',', '') === String(row.ariaRowIndex - 1);
        })";
        page.until(places).await;
        assert!(page.number("rows().length").await < 60.0);
    }
    // Tokens go on to come in while it is looked for: the end moves.
    page.until(
        "($('scroller').scrollTop = 1e9) && filled()
            && inSight().at(-1)?.ariaRowIndex === $('grid').ariaRowCount",
    )
    .await;

    let active = "Number($($('grid').getAttribute('aria-activedescendant'))?.ariaRowIndex)";
    page.run("$('grid').focus()").await;
    page.press(Key::Home).await;
    page.until(&format!("filled() && {active} === 2")).await;
    for key in [Key::Down, Key::Down, Key::Down, Key::Up] {
        page.press(key).await;
    }
    assert_eq!(page.ask(active).await, 4);
    page.press(Key::PageDown).await;
    assert!(page.number(active).await > 10.0);
    let all = page.number("Number($('grid').ariaRowCount)").await;
    page.press(Key::End).await;
    page.until(&format!("filled() && {active} >= {all}")).await;
    page.press(Key::Home).await;
    page.until(&format!("filled() && {active} === 2")).await;
    page.press(Key::Enter).await;
    page.until("location.hash.startsWith('#/token/') && !$('token-figures').hidden").await;
    page.press(Key::Escape).await;
    page.until("location.hash === '#/' && document.activeElement.id === 'grid'").await;
    page.leave().await;
}

/// Clicks on a column's head and tells how long the rows in their new order took to be painted.
const SORT: &str = "
    const began = performance.now();
    const painted = () => requestAnimationFrame(() => done(performance.now() - began));
    document.querySelector(`[data-column='${argument}']`).click();
    new MutationObserver((_, observer) => {
        if (busy() === 'true') return;
        observer.disconnect();
        painted();
    }).observe($('grid'), { attributes: true, attributeFilter: ['aria-busy'] });
";
