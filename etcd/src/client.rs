//! One call on one of several members.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::{Instant, sleep_until, timeout_at};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use crate::failure::{EtcdError, Failure};
use crate::members::Members;
use crate::options::{EtcdCredentials, EtcdOptions};
use crate::proto;

/// A client of one cluster. Clones share connections and the knowledge of failing members.
#[derive(Clone)]
pub struct EtcdClient {
    shared: Arc<Shared>,
}

struct Shared {
    members: Members,
    options: EtcdOptions,
    token: Mutex<Option<MetadataValue<Ascii>>>,
}

/// Whether a call may be repeated after it was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It changes nothing, or repeating it changes nothing more.
    Always,
    /// It may change something each time.
    IfNotAccepted,
}

/// The connection to a member, and the token of authentication.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) channel: Channel,
    token: Option<MetadataValue<Ascii>>,
}

impl Connection {
    /// A request that a member without a leader refuses at once.
    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
        if let Some(token) = &self.token {
            request.metadata_mut().insert("token", token.clone());
        }
        request
    }
}

impl EtcdClient {
    /// Creates a client. It connects with the first call.
    ///
    /// # Errors
    /// An address or a certificate cannot be used.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new(options: EtcdOptions) -> Result<Self, EtcdError> {
        let members = Members::new(&options)?;
        Ok(Self { shared: Arc::new(Shared { members, options, token: Mutex::new(None) }) })
    }

    pub(crate) fn members(&self) -> &Members {
        &self.shared.members
    }

    pub(crate) fn options(&self) -> &EtcdOptions {
        &self.shared.options
    }

    /// Makes a call, at the next member if one fails, until the time is over.
    pub(crate) async fn call<T, F>(
        &self,
        repeat: Repeat,
        attempt: impl Fn(Connection) -> F,
    ) -> Result<T, EtcdError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let deadline = Instant::now() + self.options().timeout;
        let (mut problem, mut was_lost, mut tokens) = (String::new(), false, 0);
        loop {
            let selected = self.members().select(Instant::now());
            if selected.ready_at >= deadline {
                let error = if was_lost { EtcdError::Unknown } else { EtcdError::Unavailable };
                return Err(error(problem));
            }
            sleep_until(selected.ready_at).await;
            let failure = match self.attempt(selected.member, deadline, &attempt).await {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            let named = |words: &str| format!("{}: {words}", self.members().address(selected.member));
            match failure {
                Failure::Final(error) => return Err(error),
                Failure::Token(words) => {
                    tokens += 1;
                    self.forget_token();
                    if self.options().credentials.is_none() || tokens > 2 {
                        return Err(EtcdError::Refused(words));
                    }
                }
                Failure::Rejected(words) => {
                    problem = named(&words);
                    self.members().note_failure(selected.member, Instant::now());
                }
                Failure::Lost(words) => {
                    problem = named(&words);
                    was_lost = true;
                    self.members().note_failure(selected.member, Instant::now());
                    if repeat == Repeat::IfNotAccepted {
                        return Err(EtcdError::Unknown(problem));
                    }
                }
            }
            tracing::debug!(problem, "a call to etcd is repeated");
        }
    }

    /// Makes a call at one member, whatever its recent failures.
    pub(crate) async fn call_member<T, F>(
        &self,
        member: usize,
        attempt: impl Fn(Connection) -> F,
    ) -> Result<T, EtcdError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let deadline = Instant::now() + self.options().timeout;
        let outcome = self.attempt(member, deadline, &attempt).await;
        outcome.map_err(|failure| match failure {
            Failure::Final(error) => error,
            Failure::Token(words) => EtcdError::Refused(words),
            Failure::Rejected(words) => EtcdError::Unavailable(words),
            Failure::Lost(words) => EtcdError::Unknown(words),
        })
    }

    async fn attempt<T, F>(
        &self,
        member: usize,
        deadline: Instant,
        attempt: &impl Fn(Connection) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let deadline = deadline.min(Instant::now() + self.options().attempt_timeout);
        let in_time = |failure: &str| Failure::Lost(failure.to_owned());
        let connection = timeout_at(deadline, self.connection(member)).await;
        let connection = connection.map_err(|_| Failure::Rejected("no answer in time".to_owned()))??;
        let response = timeout_at(deadline, attempt(connection)).await;
        let response = response.map_err(|_| in_time("no answer in time"))?;
        let response = response.map_err(|status| Failure::of(&status))?;
        self.members().note_success(member);
        Ok(response.into_inner())
    }

    /// The connection to a member, authenticated if there are credentials.
    pub(crate) async fn connection(&self, member: usize) -> Result<Connection, Failure> {
        let channel = self.members().channel(member);
        let token = match &self.options().credentials {
            None => None,
            Some(credentials) => Some(self.token(&channel, credentials).await?),
        };
        Ok(Connection { channel, token })
    }

    async fn token(
        &self,
        channel: &Channel,
        credentials: &EtcdCredentials,
    ) -> Result<MetadataValue<Ascii>, Failure> {
        if let Some(token) = &*self.held_token() {
            return Ok(token.clone());
        }
        let EtcdCredentials { user, password } = credentials.clone();
        let mut auth = proto::auth_client::AuthClient::new(channel.clone());
        let answer = auth.authenticate(proto::AuthenticateRequest { name: user, password }).await;
        let answer = answer.map_err(|status| match Failure::of(&status) {
            // Nothing but the attempt to authenticate can be lost here.
            Failure::Lost(words) => Failure::Rejected(words),
            Failure::Token(words) => Failure::Final(EtcdError::Refused(words)),
            failure => failure,
        })?;
        let token = MetadataValue::try_from(answer.into_inner().token);
        let token = token.map_err(|_| {
            Failure::Final(EtcdError::Refused("the token of authentication is not text".to_owned()))
        })?;
        Ok(self.held_token().insert(token).clone())
    }

    pub(crate) fn forget_token(&self) {
        *self.held_token() = None;
    }

    fn held_token(&self) -> MutexGuard<'_, Option<MetadataValue<Ascii>>> {
        self.shared.token.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for EtcdClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdClient").field("options", self.options()).finish_non_exhaustive()
    }
}
