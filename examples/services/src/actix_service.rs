//! A service on actix-web, which is not built on tower: an extractor asks the layer for its decision.

use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::web::{self, ServiceConfig};
use actix_web::{App, FromRequest, HttpRequest, HttpResponse, HttpServer, ResponseError};
use claimgate_tower::{BearerLayer, FromPrincipal, Principal, Refusal, Require};

use crate::Failure;

/// What a handler takes of an accepted token.
struct Verified<T>(T);

/// A refusal as actix-web answers it.
#[derive(Debug)]
struct Refused(Refusal);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.public_message())
    }
}

impl ResponseError for Refused {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status().as_u16()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        response.insert_header((RETRY_AFTER, "5"));
        if let Some(challenge) = self.0.challenge() {
            response.insert_header((WWW_AUTHENTICATE, challenge));
        }
        response.finish()
    }
}

impl<T: FromPrincipal> FromRequest for Verified<T> {
    type Error = Refused;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Refused>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let bearer = request.app_data::<BearerLayer>();
            let bearer = bearer.ok_or(Refused(Refusal::Program { missing: "the layer is no app data" }))?;
            let authorization = request.headers().get_all(AUTHORIZATION).map(HeaderValue::as_bytes);
            let principal =
                bearer.authenticate(authorization).await.and_then(|found| found.ok_or(Refusal::Missing));
            let taken = principal.and_then(|principal| T::from_principal(&principal));
            taken.map(Self).map_err(|refusal| {
                refusal.log();
                Refused(refusal)
            })
        })
    }
}

/// The claims that the service reads.
#[derive(serde::Deserialize)]
struct User {
    sub: String,
}

async fn me(Verified(user): Verified<User>) -> String {
    user.sub
}

async fn orders(Verified(principal): Verified<Principal>) -> Result<String, Refused> {
    Require::scope("orders:read").admit(&principal).map_err(Refused)?;
    Ok(principal.scopes().collect::<Vec<_>>().join(" "))
}

fn routes(config: &mut ServiceConfig) {
    config.route("/me", web::get().to(me)).route("/orders", web::get().to(orders));
}

/// Serves until the process is asked to end.
///
/// # Errors
/// If the listener fails.
pub async fn serve(bearer: BearerLayer, listener: std::net::TcpListener) -> Result<(), Failure> {
    let app = move || App::new().app_data(bearer.clone()).configure(routes);
    HttpServer::new(app).workers(1).disable_signals().listen(listener)?.run().await?;
    Ok(())
}
