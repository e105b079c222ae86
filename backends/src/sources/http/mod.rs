//! HTTP services: a look-up that is answered in JSON, or what nginx asks its `auth_http`.

mod auth_http;
mod json;

use self::auth_http::AuthHttp;
use self::json::Json;
use super::engine::{Answer, Engine, Question};
use super::fault::SourceFault;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::time::Duration;
use usher_config::snapshot::{Http, HttpStyle};

pub(super) enum HttpEngine {
    Json(Box<Json>),
    AuthHttp(AuthHttp),
}

impl HttpEngine {
    pub(super) fn new(http: &Http, deadline: Duration) -> Result<Self, SourceFault> {
        Ok(match http.style {
            HttpStyle::Json => Self::Json(Box::new(Json::new(http, deadline)?)),
            HttpStyle::AuthHttp { send_password } => {
                Self::AuthHttp(AuthHttp::new(http, send_password, deadline)?)
            }
        })
    }
}

impl Engine for HttpEngine {
    fn look_up<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Answer> {
        match self {
            Self::Json(json) => json.look_up(&question.key).boxed(),
            Self::AuthHttp(auth_http) => auth_http.look_up(question).boxed(),
        }
    }

    fn judges(&self) -> bool {
        matches!(self, Self::AuthHttp(auth_http) if auth_http.sends_password())
    }

    fn wants_visitor(&self) -> bool {
        matches!(self, Self::AuthHttp(_))
    }
}
