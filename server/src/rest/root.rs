//! `/`: which versions there are.

use super::call::Call;
use crate::http::reply::Reply;
use crate::microversion::Microversion;

pub(super) fn show(call: &Call<'_>) -> Reply {
    let (min, max) = (Microversion::MIN.to_string(), Microversion::MAX.to_string());
    let document = Reply::object(|w| {
        w.key("versions").array(|w| {
            w.object(|w| {
                w.key("id").string(&format!("v{min}"));
                w.key("max_version").string(&max);
                w.key("min_version").string(&min);
                w.key("status").string("CURRENT");
                w.key("links").array(|w| {
                    w.object(|w| {
                        w.key("rel").string("self");
                        w.key("href").string("");
                    });
                });
            });
        });
    });
    document.modified(call.now)
}
