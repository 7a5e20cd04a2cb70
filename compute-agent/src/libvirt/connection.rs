//! The connection to libvirtd, which is reopened whenever it is lost.

use std::sync::{Mutex, Once, PoisonError};
use std::thread;

use tokio::sync::mpsc::UnboundedSender;
use virt::connect::Connect;
use virt::{error, event};

use super::fault::fault;
use super::sys::{self, Subscription};
use crate::{Fault, Notice};

/// Seconds between keepalives, and how many may go unanswered.
const KEEPALIVE: (i32, u32) = (5, 3);

/// A connection to libvirtd.
pub(super) struct Connection {
    uri: String,
    link: Mutex<Link>,
    notices: Mutex<Option<UnboundedSender<Notice>>>,
}

enum Link {
    /// Not opened yet.
    New,
    Open(Open),
    Lost,
}

struct Open {
    connect: Connect,
    _events: Subscription,
}

impl Connection {
    /// A connection that is not opened yet.
    pub(super) fn new(uri: String) -> Self {
        run_event_loop();
        Self { uri, link: Mutex::new(Link::New), notices: Mutex::new(None) }
    }

    /// Sets the receiver of events.
    pub(super) fn set_notices(&self, notices: UnboundedSender<Notice>) {
        *self.notices.lock().unwrap_or_else(PoisonError::into_inner) = Some(notices);
    }

    /// Returns the connection, and opens it if necessary. Blocks.
    pub(super) fn get(&self) -> Result<Connect, Fault> {
        let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        if let Link::Open(open) = &*link {
            if is_alive(&open.connect) {
                return Ok(open.connect.clone());
            }
            *link = Link::Lost;
            self.notify(Notice::Lost);
        }
        let open = self.open()?;
        let connect = open.connect.clone();
        if matches!(std::mem::replace(&mut *link, Link::Open(open)), Link::Lost) {
            self.notify(Notice::Back);
        }
        Ok(connect)
    }

    fn open(&self) -> Result<Open, Fault> {
        let away = |error: error::Error| Fault::lost(format!("{}: {}", self.uri, error.message()));
        let connect = Connect::open(Some(&self.uri)).map_err(away)?;
        let (interval, count) = KEEPALIVE;
        connect.set_keep_alive(interval, count).map_err(away)?;
        let notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let notify = move |instance| {
            if let Some(notices) = &notices {
                // No receiver exists while the agent shuts down.
                let _ = notices.send(Notice::Disturbed(instance));
            }
        };
        let events = sys::subscribe(&connect, Box::new(notify))
            .map_err(|error| fault("subscribing to events of domains", &error))?;
        Ok(Open { connect, _events: events })
    }

    /// Sends an event to the agent, if it listens.
    pub(super) fn notify(&self, notice: Notice) {
        if let Some(notices) = &*self.notices.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = notices.send(notice);
        }
    }
}

fn is_alive(connect: &Connect) -> bool {
    connect.is_alive().unwrap_or(false)
}

/// Starts libvirt's event loop, once per process. It turns off the default error handler, which
/// prints errors that are also returned.
fn run_event_loop() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        error::clear_error_callback();
        if let Err(error) = event::event_register_default_impl() {
            tracing::error!("no events of domains: {}", error.message());
            return;
        }
        let run = || {
            loop {
                if let Err(error) = event::event_run_default_impl() {
                    tracing::warn!("libvirt's event loop: {}", error.message());
                }
            }
        };
        if let Err(error) = thread::Builder::new().name("libvirt-events".to_owned()).spawn(run) {
            tracing::error!("no events of domains: {error}");
        }
    });
}
