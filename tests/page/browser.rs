//! A Chromium of our own with a fresh profile, driven over WebDriver. What the tests ask of the
//! page they ask in its own language, by one expression.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::prelude::*;
use thirtyfour::{ChromiumLikeCapabilities, Key, LoggingPrefsLogLevel, WebDriver};

use crate::service::free_port;
use support::install::ensure;

/// A browser with one page open.
pub(crate) struct Browser {
    driver: WebDriver,
    chromedriver: Chromedriver,
    origin: String,
}

/// How large the screen is, and whether its owner likes it dark.
#[derive(Clone, Copy)]
pub(crate) struct Screen {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) dark: bool,
}

pub(crate) const WIDE: Screen = Screen { width: 1_280, height: 800, dark: false };

pub(crate) const PHONE: Screen = Screen { width: 360, height: 740, dark: false };

impl Browser {
    /// Opens `url` on a wide screen.
    pub(crate) async fn open(url: &str) -> Self {
        Self::open_on(url, WIDE).await
    }

    /// Opens `url`.
    pub(crate) async fn open_on(url: &str, screen: Screen) -> Self {
        let chromedriver = Chromedriver::start();
        let mut wanted = DesiredCapabilities::chrome();
        for flag in FLAGS {
            wanted.add_arg(flag).unwrap();
        }
        let profile = chromedriver.profile.path().to_str().unwrap().to_owned();
        wanted.add_arg(&format!("--user-data-dir={profile}")).unwrap();
        wanted.set_browser_log_level(LoggingPrefsLogLevel::All).unwrap();
        wanted.set_logging_prefs("performance", LoggingPrefsLogLevel::All).unwrap();
        let driver = WebDriver::new(&chromedriver.url, wanted).await.unwrap();
        driver.set_script_timeout(PATIENCE).await.unwrap();
        let origin = url.split_inclusive('/').take(3).collect();
        let browser = Self { driver, chromedriver, origin };
        browser.show_on(screen).await;
        browser.driver.goto(url).await.unwrap();
        browser
    }

    /// Opens `url` and waits for its first rows.
    pub(crate) async fn open_table(url: &str) -> Self {
        let browser = Self::open_rows(url).await;
        browser.until("rows().length > 5").await;
        browser
    }

    /// Opens `url` and waits for its first row.
    pub(crate) async fn open_rows(url: &str) -> Self {
        let browser = Self::open(url).await;
        browser.until("busy() === 'false' && rows().length > 0 && filled()").await;
        browser
    }

    pub(crate) async fn show_on(&self, Screen { width, height, dark }: Screen) {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
        let theme = if dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": theme }]);
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    pub(crate) async fn devtools(&self, method: &str, parameters: Value) -> Value {
        self.driver.cdp().send_raw(method, parameters).await.unwrap()
    }

    /// The value of an expression.
    pub(crate) async fn ask(&self, expression: &str) -> Value {
        self.run(&format!("return ({expression})")).await
    }

    /// As [`Self::ask`], of text.
    pub(crate) async fn text(&self, expression: &str) -> String {
        let value = self.ask(expression).await;
        value.as_str().unwrap_or_else(|| panic!("{expression} is {value}")).to_owned()
    }

    /// As [`Self::ask`], of a number.
    pub(crate) async fn number(&self, expression: &str) -> f64 {
        let value = self.ask(expression).await;
        value.as_f64().unwrap_or_else(|| panic!("{expression} is {value}"))
    }

    /// What a script returns.
    pub(crate) async fn run(&self, script: &str) -> Value {
        let script = format!("{WORDS}{script}");
        self.driver.execute(script, Vec::new()).await.unwrap().json().clone()
    }

    /// What a script passes to `done`.
    pub(crate) async fn run_async(&self, script: &str, argument: Value) -> Value {
        let script = format!("{WORDS}const [argument, done] = arguments;{script}");
        self.driver.execute_async(script, vec![argument]).await.unwrap().json().clone()
    }

    /// Waits until an expression is true.
    pub(crate) async fn until(&self, expression: &str) {
        let began = Instant::now();
        while self.ask(&format!("Boolean({expression})")).await != true {
            if began.elapsed() > PATIENCE {
                let seen = self.text("document.body.innerText").await;
                panic!("never: {expression}\n{seen}");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Clicks what a selector finds, as a mouse does.
    pub(crate) async fn click(&self, selector: &str) {
        self.find(selector).await.click().await.unwrap();
    }

    /// Types into what a selector finds.
    pub(crate) async fn write(&self, selector: &str, text: &str) {
        self.find(selector).await.send_keys(text).await.unwrap();
    }

    /// Presses a key wherever the focus is.
    pub(crate) async fn press(&self, key: impl Into<char>) {
        self.driver.action_chain().send_keys(key.into()).perform().await.unwrap();
    }

    /// Presses a letter with the control key.
    pub(crate) async fn press_with_control(&self, letter: char) {
        let chain = self.driver.action_chain().key_down(Key::Control).send_keys(letter);
        chain.key_up(Key::Control).perform().await.unwrap();
    }

    /// Moves the mouse over the middle of what a selector finds.
    pub(crate) async fn point_at(&self, selector: &str) {
        let element = self.find(selector).await;
        self.driver.action_chain().move_to_element_center(&element).perform().await.unwrap();
    }

    async fn find(&self, selector: &str) -> WebElement {
        let found = self.driver.find(By::Css(selector)).await;
        found.unwrap_or_else(|cause| panic!("{selector}: {cause}"))
    }

    pub(crate) async fn go(&self, url: &str) {
        self.driver.goto(url).await.unwrap();
    }

    pub(crate) async fn back(&self) {
        self.driver.back().await.unwrap();
    }

    pub(crate) async fn reload(&self) {
        self.driver.refresh().await.unwrap();
    }

    /// Keeps a picture under `target/` and says where.
    pub(crate) async fn picture(&self, name: &str) {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("page");
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{name}.png"));
        fs::write(&path, self.driver.screenshot_as_png().await.unwrap()).unwrap();
        println!("picture: {}", path.display());
    }

    /// Ends the visit: the console has to be clean, and nobody else asked for anything.
    pub(crate) async fn leave(self) {
        self.leave_but(&[]).await;
    }

    /// As [`Self::leave`], where some errors on the console were provoked.
    pub(crate) async fn leave_but(self, provoked: &[&str]) {
        for entry in self.driver.browser_log().await.unwrap() {
            let expected = provoked.iter().any(|text| entry.message.contains(text));
            let harmless = !matches!(entry.level.as_str(), "SEVERE" | "WARNING");
            assert!(expected || harmless, "on the console: {} {}", entry.level, entry.message);
        }
        let mut requests = 0;
        for entry in self.driver.get_log("performance").await.unwrap() {
            let event: Value = serde_json::from_str(&entry.message).unwrap();
            if event["message"]["method"] != "Network.requestWillBeSent" {
                continue;
            }
            let url = event["message"]["params"]["request"]["url"].as_str().unwrap();
            // What a browser shows in its first tab it has within itself.
            if ["http", "ws"].iter().any(|scheme| url.starts_with(scheme)) {
                assert!(url.starts_with(&self.origin), "asked for {url}");
                requests += 1;
            }
        }
        assert!(requests > 1, "the page and its stream at least");
        self.driver.quit().await.unwrap();
        drop(self.chromedriver);
    }
}

/// The driver's process; with the browser that it started it ends when this is dropped.
struct Chromedriver {
    child: Child,
    url: String,
    profile: TempDir,
}

impl Chromedriver {
    fn start() -> Self {
        ensure("chromium", &["chromium"]);
        ensure("chromedriver", &["chromium-driver"]);
        let profile = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={port}")).env("HOME", profile.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let driver = Self { child, url: format!("http://127.0.0.1:{port}"), profile };
        let began = Instant::now();
        while ureq::get(format!("{}/status", driver.url)).call().is_err() {
            assert!(began.elapsed() < PATIENCE, "chromedriver does not answer");
            std::thread::sleep(PAUSE);
        }
        driver
    }

    /// The browser's processes carry the profile's folder in their arguments.
    fn browsers(&self) -> Vec<String> {
        let profile = self.profile.path().to_str().unwrap();
        let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        let ours = processes.filter(|process| {
            let arguments = fs::read(process.path().join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&arguments).contains(profile)
        });
        ours.filter_map(|process| process.file_name().into_string().ok()).collect()
    }
}

impl Drop for Chromedriver {
    fn drop(&mut self) {
        let killed = self.child.kill().and_then(|()| self.child.wait());
        // A test that failed leaves its browser behind; one that ended it has none.
        for process in self.browsers() {
            drop(Command::new("kill").args(["-KILL", &process]).status());
        }
        // Their folder goes next, and none may write to it any more.
        let began = Instant::now();
        while !self.browsers().is_empty() && began.elapsed() < PATIENCE {
            std::thread::sleep(PAUSE);
        }
        if !std::thread::panicking() {
            killed.unwrap();
        }
    }
}

/// What the expressions may use.
const WORDS: &str = "
    const $ = (id) => document.getElementById(id);
    const busy = () => $('grid').getAttribute('aria-busy');
    const rows = () => [...document.querySelectorAll('#body tr:not([hidden])')];
    const heads = () => [...document.querySelectorAll('#head th')];
    const full = (cell) => cell.title || cell.textContent;
    const filled = () => rows().every((row) => !row.querySelector('td[hidden]'));
    const inSight = () => {
        const top = $('head').getBoundingClientRect().bottom;
        const bottom = $('scroller').getBoundingClientRect().bottom;
        return rows().filter((row) => {
            const at = row.getBoundingClientRect();
            return at.bottom > top + 1 && at.top < bottom - 1;
        });
    };
";

/// As root there is no sandbox; what else a browser asks the network for is off.
const FLAGS: [&str; 8] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

const PAUSE: Duration = Duration::from_millis(30);

const PATIENCE: Duration = Duration::from_secs(60);
