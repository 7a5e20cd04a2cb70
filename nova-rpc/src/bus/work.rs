//! One message: from its bytes to the reply.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::replies::Replies;
use super::{Context, Handler};
use crate::call::Call;
use crate::envelope::{Message, ReplyTo};
use crate::reply::Reply;

/// Serves a call and sends the reply; meanwhile, keep-alives, if the caller monitors the call.
pub(super) async fn work(message: Message, handler: Arc<impl Handler>, mut replies: Replies) {
    let reply_to = message.reply_to();
    let interval = message.monitor_timeout().map(|seconds| Duration::from_secs_f64(seconds / 2.0));
    let served = async {
        let context = Context {
            request_id: message.request_id().map(str::to_owned),
            local_request_id: message.local_request_id().map(str::to_owned),
            message: message.text(),
        };
        match Call::read(&message) {
            Ok(call) => handler.handle(call, context).await,
            Err(failure) => {
                tracing::warn!(
                    method = message.method,
                    version = message.version,
                    problem = failure.message(),
                    "a call is refused"
                );
                handler.refuse(failure, context).await
            }
        }
    };
    let result = match (&reply_to, interval) {
        (Some(to), Some(interval)) => monitored(served, to, interval, &mut replies).await,
        _ => served.await,
    };
    let Some(to) = reply_to else { return };
    let reply = match result {
        Ok(result) => Reply::Result(result),
        Err(failure) => Reply::Failure(failure),
    };
    replies.send(&to, &reply).await;
}

async fn monitored<T>(
    served: impl Future<Output = T>,
    to: &ReplyTo,
    interval: Duration,
    replies: &mut Replies,
) -> T {
    let mut served = std::pin::pin!(served);
    let mut next = Instant::now() + interval;
    let mut is_awaited = true;
    loop {
        tokio::select! {
            result = &mut served => return result,
            () = sleep_until(next), if is_awaited => {
                // The watch ends where the caller is gone; the work goes on.
                is_awaited = replies.keep_alive(to).await;
                next += interval;
            }
        }
    }
}
