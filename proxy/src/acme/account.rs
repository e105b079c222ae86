//! The account at the authority: the kept one, or a new one.

use super::client::Http;
use super::error::{OrderError, Stage};
use super::store::Store;
use base64::Engine;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use instant_acme::{Account, AccountCredentials, ExternalAccountKey, NewAccount};
use usher_config::snapshot::{Acme, ExternalAccount};
use zeroize::Zeroizing;

/// The account for orders.
///
/// # Errors
/// [`OrderError`], when there is none and none can be made.
pub(super) async fn account(acme: &Acme, store: &dyn Store) -> Result<Account, OrderError> {
    let http = || {
        let ca = acme.ca.as_ref().map(|ca| ca.path.as_path());
        let http = Http::new(ca).map_err(|what| OrderError::new(Stage::Account, what))?;
        Ok::<_, OrderError>(Account::builder_with_http(Box::new(http)))
    };
    let contact: Vec<&str> = acme.contact.iter().map(String::as_str).collect();
    let kept = store.account().map_err(|error| OrderError::new(Stage::Store, error.to_string()))?;
    if let Some(credentials) = kept.and_then(|kept| read(&kept)) {
        let account = http()?.from_credentials(credentials).await;
        let account = account.map_err(|error| OrderError::of(Stage::Directory, &error))?;
        // Whom it writes to may have changed since. That is no reason to have no certificate.
        if !contact.is_empty()
            && let Err(error) = account.update_contacts(&contact).await
        {
            tracing::debug!(%error, "the authority has not taken the contacts");
        }
        return Ok(account);
    }
    // One that could not be kept would be made again and again.
    store.try_to_keep().map_err(|error| OrderError::new(Stage::Store, error.to_string()))?;
    let bound = acme.external_account.as_ref().map(external).transpose()?;
    let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let made = http()?.create(&new, acme.directory.clone(), bound.as_ref()).await;
    let (account, credentials) = made.map_err(|error| OrderError::of(Stage::Account, &error))?;
    let credentials = serde_json::to_vec(&credentials).map(Zeroizing::new);
    let credentials = credentials.map_err(|error| OrderError::new(Stage::Store, error.to_string()))?;
    store.keep_account(&credentials).map_err(|error| OrderError::new(Stage::Store, error.to_string()))?;
    tracing::info!(
        directory = acme.directory,
        account = account.id(),
        "there is an account for certificates now"
    );
    Ok(account)
}

fn read(kept: &[u8]) -> Option<AccountCredentials> {
    let read = serde_json::from_slice(kept);
    // What is wrong with it may quote it.
    if read.is_err() {
        tracing::warn!("the kept account for certificates cannot be read: there will be a new one");
    }
    read.ok()
}

/// The key of an account that the authority knows otherwise.
fn external(account: &ExternalAccount) -> Result<ExternalAccountKey, OrderError> {
    let path = &account.key_file.path;
    let fault = |what: &str| OrderError::new(Stage::Account, format!("{}: {what}", path.display()));
    let text =
        std::fs::read_to_string(path).map(Zeroizing::new).map_err(|error| fault(&error.to_string()))?;
    let text = text.trim();
    let key = URL_SAFE_NO_PAD.decode(text).or_else(|_| URL_SAFE.decode(text)).map(Zeroizing::new);
    let key = key.map_err(|_| fault("contains no key in base64url"))?;
    Ok(ExternalAccountKey::new(account.id.clone(), &key))
}
