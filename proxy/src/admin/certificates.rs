//! Which certificates clients may be shown.

use super::State;
use super::model::{Certificate, Certificates};
use axum::Json;

/// All certificates, and what has become of the last orders.
#[utoipa::path(get, path = "/v1/certificates", operation_id = "listCertificates", responses((status = 200, description = "Done.", body = Certificates)))]
pub(super) async fn list(context: State) -> Json<Certificates> {
    let active = context.config.load();
    let of_files = active.tls.ends.iter().map(|(chain, ends)| Certificate {
        name: None,
        chain: Some(chain.clone()),
        not_after: Some(*ends),
        replaced_at: None,
        failures: 0,
        error: None,
        again_at: None,
    });
    let ordered = context.keeper.wanted(&active).into_iter().map(|name| {
        let (loaded, known) = (context.keeper.acquired.get(&name), context.keeper.states.known(&name));
        Certificate {
            chain: loaded.as_ref().map(|loaded| loaded.chain.display().to_string()),
            not_after: loaded.as_ref().map(|loaded| loaded.not_after),
            replaced_at: loaded.as_ref().map(|loaded| known.due(&loaded.validity())),
            failures: known.failures,
            again_at: (known.failures > 0).then_some(known.not_before),
            error: known.error,
            name: Some(name),
        }
    });
    Json(Certificates { certificates: of_files.chain(ordered).collect() })
}
