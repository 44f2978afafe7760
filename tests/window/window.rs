//! One window with its driver: found, clicked and typed into by the names that the page gives its parts.

use fantoccini::elements::Element;
use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longer than anything takes; reaching it is a failure, not a pace.
const PATIENCE: Duration = Duration::from_secs(40);
/// How often the page is looked at.
const LOOK: Duration = Duration::from_millis(40);
/// What a click brings is there by then, where it hit.
const SHOWN: Duration = Duration::from_secs(3);

/// The program to test; `None` with a printed reason where it is not given.
pub fn program() -> Option<PathBuf> {
    let program = std::env::var_os("ATELIER_APP").map(PathBuf::from);
    if program.is_none() {
        eprintln!("skipped: ATELIER_APP names no program; `cargo xtask test` builds the window and sets it");
    }
    program
}

/// A window under test.
pub struct Window {
    client: Client,
    driver: Driver,
}

/// WebKitWebDriver and everything that it started, in a process group of its own.
struct Driver(Child);

impl Drop for Driver {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.0.wait();
    }
}

impl Window {
    /// Opens the window with its own home and temporary folder.
    pub async fn open(program: &Path, home: &Path, temporary: &Path, arguments: &[&str]) -> Window {
        use std::os::unix::process::CommandExt;
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let driver = Command::new("WebKitWebDriver")
            .arg(format!("--port={port}"))
            .env("TAURI_WEBVIEW_AUTOMATION", "true")
            .env("ATELIER_HOME", home)
            .env("TMPDIR", temporary)
            .env_remove("OLLAMA_HOST")
            .process_group(0)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("WebKitWebDriver is installed (`cargo xtask setup`)");
        let driver = Driver(driver);
        let listens = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        wait_until("the driver listens", listens).await;
        let mut capabilities = Capabilities::new();
        capabilities.insert("webkitgtk:browserOptions".to_owned(), json!({"binary": program, "args": arguments}));
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("the window opens");
        Window { client, driver }
    }

    /// Waits for the part `name` to be there and gives it.
    pub async fn part(&self, name: &str) -> Element {
        self.css(&format!("[data-test='{name}']")).await
    }

    /// Waits for the first element that fits a selector, and scrolls to it as a person does.
    pub async fn css(&self, selector: &str) -> Element {
        let (begun, mut before) = (Instant::now(), None);
        loop {
            // The driver knows no size of what lies behind the edge of something that scrolls.
            let scroll =
                "document.querySelector(arguments[0])?.scrollIntoView({block: 'nearest', behavior: 'instant'})";
            let _ = self.client.execute(scroll, vec![json!(selector)]).await;
            // The driver's own notion of "displayed" knows no clipped text; a box with a size is what counts, once it has
            // come to rest: a click goes to where it was.
            if let Ok(element) = self.client.find(Locator::Css(selector)).await {
                let now = element.rectangle().await.ok().filter(|(_, _, width, height)| *width > 0.0 && *height > 0.0);
                if now.is_some() && now == before {
                    return element;
                }
                before = now;
            }
            if begun.elapsed() > PATIENCE {
                self.keep_picture("not-found").await;
                panic!("`{selector}` did not appear; see test-artefacts/not-found.png");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Whether a part is there now.
    pub async fn has(&self, name: &str) -> bool {
        self.client.find(Locator::Css(&format!("[data-test='{name}']"))).await.is_ok()
    }

    /// Clicks a part. A part that is being drawn anew is looked up again.
    pub async fn click(&self, name: &str) {
        let begun = Instant::now();
        while let Err(error) = self.part(name).await.click().await {
            assert!(begun.elapsed() < PATIENCE, "`{name}` cannot be clicked: {error}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Clicks a part until another one is there: what is clicked in a thread that grows may move away meanwhile.
    pub async fn click_until(&self, name: &str, then: &str) {
        let begun = Instant::now();
        while !self.has(then).await {
            assert!(begun.elapsed() < PATIENCE, "clicking `{name}` does not bring `{then}`");
            self.click(name).await;
            let clicked = Instant::now();
            while clicked.elapsed() < SHOWN && !self.has(then).await {
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    /// Types into a part.
    pub async fn type_into(&self, name: &str, keys: &str) {
        self.click(name).await;
        self.part(name).await.send_keys(keys).await.unwrap();
    }

    /// Presses keys in whatever has the focus.
    pub async fn press(&self, keys: &str) {
        self.client.active_element().await.unwrap().send_keys(keys).await.unwrap();
    }

    /// The text of a part, clipped or not.
    pub async fn text(&self, name: &str) -> String {
        self.part(name).await.prop("textContent").await.unwrap().unwrap_or_default().trim().to_owned()
    }

    /// Waits until an attribute of a part has a value.
    pub async fn until(&self, name: &str, attribute: &str, value: &str) {
        let begun = Instant::now();
        let selector = format!("[data-test='{name}']");
        loop {
            let now = match self.client.find(Locator::Css(&selector)).await {
                Ok(part) => part.attr(attribute).await.ok().flatten(),
                Err(_) => None,
            };
            if now.as_deref() == Some(value) {
                return;
            }
            if begun.elapsed() > PATIENCE {
                self.keep_picture("not-reached").await;
                panic!("`{name}` has {attribute}={now:?}, not {value:?}; see test-artefacts/not-reached.png");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until an expression of the page has a value.
    pub async fn until_page(&self, expression: &str, value: &str) {
        let begun = Instant::now();
        while self.look(&format!("return {expression};")).await != json!(value) {
            assert!(begun.elapsed() < PATIENCE, "`{expression}` is not {value:?} in time");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The value of an attribute of every element that fits a selector.
    pub async fn attributes(&self, selector: &str, attribute: &str) -> Vec<String> {
        let mut values = Vec::new();
        for element in self.client.find_all(Locator::Css(selector)).await.unwrap() {
            values.extend(element.attr(attribute).await.unwrap());
        }
        values
    }

    /// The accessible name of a control: what a screen reader says.
    pub async fn accessible_name(&self, name: &str) -> String {
        let part = self.part(name).await;
        match part.attr("aria-label").await.unwrap() {
            Some(label) => label,
            None => part.text().await.unwrap(),
        }
    }

    /// Runs a script in the page, for looking only.
    pub async fn look(&self, script: &str) -> serde_json::Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// Keeps a picture, after the page has drawn two frames: the last drawn one is what a driver shows.
    pub async fn keep_picture(&self, name: &str) {
        let frames = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done(1)));";
        let _ = self.client.execute_async(frames, Vec::new()).await;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../test-artefacts");
        std::fs::create_dir_all(&folder).unwrap();
        if let Ok(picture) = self.client.screenshot().await {
            std::fs::write(folder.join(format!("{name}.png")), picture).unwrap();
        }
    }

    /// Errors that the page noted since it was opened.
    pub async fn page_errors(&self) -> serde_json::Value {
        self.look("return window.__atelierErrors ?? null;").await
    }

    /// Closes the window as a user does.
    pub async fn close(self) {
        let _ = self.client.close().await;
        drop(self.driver);
    }

    /// Ends the window and its driver with SIGKILL.
    pub fn kill(self) {
        drop(self.driver);
    }
}

async fn wait_until(what: &str, is: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < PATIENCE, "{what}: not in time");
        tokio::time::sleep(LOOK).await;
    }
}
