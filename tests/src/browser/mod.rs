//! Chromium without a window, driven by its DevTools protocol: pages are opened, looked at and typed into as a person does it.
//!
//! In: addresses, keys, places to click. Out: pictures of what is on the screen, and what a script finds in a page. With `PENSTOCK_PICTURES`
//! every picture is kept in that folder.

mod devtools;
mod keys;

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use base64::Engine;
use serde_json::{Value, json};

use crate::picture::Picture;
use crate::process::{self, Process};
use crate::wait;
use devtools::DevTools;

/// How long what a page does may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Its one window, in pixels.
const WINDOW: (u32, u32) = (1024, 768);

/// Nothing of its own goes to the network, nothing is asked of the system that it may not have, and a page that was left doesn't
/// live on with its connections.
const FLAGS: [&str; 17] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-features=BackForwardCache",
    "--disable-sync",
    "--disable-breakpad",
    "--no-first-run",
    "--no-proxy-server",
    "--mute-audio",
    "--password-store=basic",
    "--remote-debugging-pipe",
];

/// A running browser that shows one page. It ends when this value is dropped.
#[derive(Debug)]
pub struct Browser {
    process: Process,
    tools: RefCell<DevTools>,
    page: String,
}

/// Where an element is, without its border.
const FRAME: &str = "selector => {
    const element = document.querySelector(selector);
    const { x, y } = element.getBoundingClientRect();
    const { clientLeft, clientTop, clientWidth, clientHeight } = element;
    return { x: x + clientLeft, y: y + clientTop, width: clientWidth, height: clientHeight };
}";

/// Whether a click into the middle of an element would meet it, and still does so in the next picture of the page.
const STANDS: &str = "async selector => {
    const element = document.querySelector(selector);
    const place = () => {
        const { x, y, width, height } = element.getBoundingClientRect();
        const meets = element.contains(document.elementFromPoint(x + width / 2, y + height / 2));
        return meets && JSON.stringify([x, y, width, height]);
    };
    const before = place();
    await new Promise(requestAnimationFrame);
    await new Promise(requestAnimationFrame);
    return before !== false && before === place();
}";

/// A rectangle of a page, in pixels.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Frame {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

impl Browser {
    /// Starts it with an empty page. Servers have to show a certificate that it can trust, or one with this key: the SHA-256 of
    /// a SubjectPublicKeyInfo, in base64.
    ///
    /// # Panics
    /// When there is no Chromium, or it doesn't answer.
    pub fn start(trusted_key: Option<&str>) -> Browser {
        let dir = process::directory();
        let (ours, theirs) = UnixStream::pair().expect("two sockets");
        let mut command = process::command("sh");
        // It wants its commands on descriptor 3, and answers on 4.
        command.args(["-c", "exec \"$@\" 3<&0 4>&0 </dev/null", "sh", "chromium"]).args(FLAGS);
        command.arg(format!("--window-size={},{}", WINDOW.0, WINDOW.1));
        command.arg(format!("--user-data-dir={}", dir.path().join("profile").display()));
        if let Some(key) = trusted_key {
            command.arg(format!("--ignore-certificate-errors-spki-list={key}"));
        }
        command.arg("about:blank").env("HOME", dir.path()).stdin(OwnedFd::from(theirs));
        let process = Process::start(&mut command, dir);
        // The browser's end is the browser's alone, so that its end is seen.
        drop(command);
        let mut tools = DevTools::new(ours);
        let page = attach(&mut tools);
        let browser = Browser { process, tools: RefCell::new(tools), page };
        for domain in ["Page", "Runtime", "Log"] {
            browser.ask(&format!("{domain}.enable"), &json!({}));
        }
        let (width, height) = WINDOW;
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        browser.ask("Emulation.setDeviceMetricsOverride", &size);
        browser
    }

    /// Goes to an address, and waits until the page is loaded.
    ///
    /// # Panics
    /// When it can't be.
    pub fn open(&self, address: &str) {
        let went = self.ask("Page.navigate", &json!({ "url": address }));
        assert!(went["errorText"].is_null(), "{address}: {}", went["errorText"]);
        self.wait_for("the page is loaded", "document.readyState === 'complete'");
    }

    /// Leaves the page that is open: its connections end.
    pub fn leave(&self) {
        self.open("about:blank");
    }

    /// What an expression of JavaScript is in the page.
    ///
    /// # Errors
    /// What it throws.
    pub fn look(&self, expression: &str) -> Result<Value, String> {
        let parameters =
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut found = self.try_ask("Runtime.evaluate", &parameters)?;
        match &found["exceptionDetails"] {
            Value::Null => Ok(found["result"]["value"].take()),
            thrown => Err(thrown.to_string()),
        }
    }

    /// Waits until an expression of JavaScript is true.
    ///
    /// # Panics
    /// When it takes too long; with what the page said.
    pub fn wait_for(&self, what: &str, expression: &str) {
        self.wait_until(what, || self.look(expression) == Ok(Value::Bool(true)));
    }

    /// Waits until something is so that isn't in the page only.
    ///
    /// # Panics
    /// When it takes too long.
    pub fn wait_until(&self, what: &str, ask: impl FnMut() -> bool) {
        wait::until_true(what, PATIENCE, ask);
    }

    /// Clicks into the middle of an element, once it is there and stands still.
    ///
    /// # Panics
    /// When it isn't.
    pub fn click(&self, selector: &str) {
        let quoted = Value::from(selector);
        self.wait_for(&format!("{selector} can be clicked"), &format!("({STANDS})({quoted})"));
        let Frame { x, y, width, height } = self.frame(selector).expect("it stood there");
        let (x, y) = (x + width / 2.0, y + height / 2.0);
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": x, "y": y, "button": "left", "clickCount": 1 });
            self.ask("Input.dispatchMouseEvent", &event);
        }
    }

    /// Presses the key of a character of English text, `\r` for Enter, and lets it go.
    ///
    /// # Panics
    /// When it isn't known which key that is.
    pub fn press(&self, character: char) {
        self.send_keys(&keys::of(character));
    }

    /// Presses the key F1.
    pub fn press_f1(&self) {
        self.send_keys(&keys::f1());
    }

    fn send_keys(&self, events: &[Value]) {
        for event in events {
            self.ask("Input.dispatchKeyEvent", event);
        }
    }

    /// What is on the screen within an element; nothing if it isn't there.
    ///
    /// # Panics
    /// When the browser gives no picture.
    pub fn picture(&self, selector: &str) -> Option<Picture> {
        let Frame { x, y, width, height } = self.frame(selector)?;
        let clip = json!({ "x": x, "y": y, "width": width, "height": height, "scale": 1 });
        // An element that goes meanwhile leaves a place without a size.
        let shot = self.try_ask("Page.captureScreenshot", &json!({ "clip": clip })).ok()?;
        let data = shot["data"].as_str().expect("a picture");
        let file = base64::engine::general_purpose::STANDARD.decode(data).expect("base64");
        if let Some(folder) = std::env::var_os("PENSTOCK_PICTURES") {
            keep(Path::new(&folder), &file);
        }
        Some(Picture::from_png(&file).expect("a picture"))
    }

    /// Types this from now on when a page asks in a window of its own.
    pub fn answer(&self, text: &str) {
        self.tools.borrow_mut().answer(text);
    }

    /// What pages logged so far, and what they were refused.
    pub fn said(&self) -> Vec<String> {
        self.tools.borrow().said().to_vec()
    }

    fn frame(&self, selector: &str) -> Option<Frame> {
        let selector = Value::from(selector);
        let found = self.look(&format!("({FRAME})({selector})")).ok()?;
        let side = |name: &str| found[name].as_f64();
        let frame =
            Frame { x: side("x")?, y: side("y")?, width: side("width")?, height: side("height")? };
        (frame.width > 0.0 && frame.height > 0.0).then_some(frame)
    }

    fn ask(&self, method: &str, parameters: &Value) -> Value {
        self.try_ask(method, parameters).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    fn try_ask(&self, method: &str, parameters: &Value) -> Result<Value, String> {
        self.tools.borrow_mut().call(Some(&self.page), method, parameters)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for line in self.tools.borrow().said() {
                eprintln!("the page said: {line}");
            }
            return;
        }
        // Its folder can be taken away once all of its processes are done with it.
        let closed = self.tools.borrow_mut().call(None, "Browser.close", &json!({}));
        if closed.is_ok() {
            self.process.wait(PATIENCE);
        }
    }
}

/// The session of the one page that there is.
fn attach(tools: &mut DevTools) -> String {
    wait::until("a page", PATIENCE, || {
        let targets = tools.call(None, "Target.getTargets", &json!({})).ok()?;
        let page = targets["targetInfos"].as_array()?.iter().find(|t| t["type"] == "page")?;
        let which = json!({ "targetId": page["targetId"], "flatten": true });
        let attached = tools.call(None, "Target.attachToTarget", &which).ok()?;
        Some(attached["sessionId"].as_str()?.to_owned())
    })
}

fn keep(folder: &Path, file: &[u8]) {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    let number = NEXT.fetch_add(1, Relaxed);
    let name = format!("{}-{number:03}.png", std::process::id());
    std::fs::write(folder.join(name), file).expect("a folder for pictures");
}
