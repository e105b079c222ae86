//! From the name that somebody types, or that a request shows, to the key of an archive.

mod archive_key;
mod domains;
mod login_name;
mod login_template;
mod templates;

pub use archive_key::{ArchiveKey, KEY_CAP, NORMALISATION};
pub use domains::{Arrival, DefaultFor, Domains, Named, Says};
pub use login_name::{LoginForms, TenantTemplate};
pub use login_template::LoginTemplate;
pub use templates::{HostTemplate, Naming, PathTemplate};
