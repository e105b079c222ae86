//! Signed data (CMS, RFC 5652) around a profile, signed with the key of a certificate.

use aws_lc_rs::digest::{self, digest};
use cms::cert::{CertificateChoices, IssuerAndSerialNumber};
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{
    CertificateSet, EncapsulatedContentInfo, SignedData, SignerIdentifier, SignerInfo, SignerInfos,
};
use der::asn1::{Any, ObjectIdentifier, OctetString, SetOfVec};
use der::{Decode, Encode, Tag};
use rustls::SignatureScheme;
use rustls::sign::CertifiedKey;
use x509_cert::Certificate;
use x509_cert::attr::Attribute;
use x509_cert::spki::AlgorithmIdentifierOwned;

const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const RSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");

/// Why nothing is signed.
#[derive(Debug, thiserror::Error)]
pub(super) enum SignError {
    #[error("{0}")]
    Encoding(#[from] der::Error),
    #[error("{0}")]
    Key(#[from] rustls::Error),
    #[error("the key supports neither RSA nor ECDSA with P-256 or P-384")]
    Kind,
    #[error("there is no certificate")]
    NoCertificate,
}

/// Signs `content`, and puts the chain of certificates beside it.
///
/// # Errors
/// [`SignError`].
pub(super) fn sign(content: &[u8], key: &CertifiedKey) -> Result<Vec<u8>, SignError> {
    let schemes = [
        (SignatureScheme::RSA_PKCS1_SHA256, RSA_SHA256, SHA256, &digest::SHA256),
        (SignatureScheme::ECDSA_NISTP256_SHA256, ECDSA_SHA256, SHA256, &digest::SHA256),
        (SignatureScheme::ECDSA_NISTP384_SHA384, ECDSA_SHA384, SHA384, &digest::SHA384),
    ];
    let signer = schemes.iter().find_map(|scheme| Some((key.key.choose_scheme(&[scheme.0])?, scheme)));
    let (signer, (_, signature_oid, digest_oid, algorithm)) = signer.ok_or(SignError::Kind)?;
    let chain = key.cert.iter().map(|der| Certificate::from_der(der));
    let chain = chain.collect::<Result<Vec<_>, _>>()?;
    let leaf = chain.first().ok_or(SignError::NoCertificate)?;
    let attribute =
        |oid, value: Any| Ok::<_, der::Error>(Attribute { oid, values: SetOfVec::try_from(vec![value])? });
    let digested = OctetString::new(digest(algorithm, content).as_ref())?;
    let attributes = SetOfVec::try_from(vec![
        attribute(CONTENT_TYPE, Any::encode_from(&DATA)?)?,
        attribute(MESSAGE_DIGEST, Any::encode_from(&digested)?)?,
    ])?;
    let signature = signer.sign(&attributes.to_der()?)?;
    let named = |oid| AlgorithmIdentifierOwned { oid, parameters: None };
    // RSA's has an explicit NULL (RFC 4055 section 5), ECDSA's has nothing.
    let parameters = (*signature_oid == RSA_SHA256).then(|| Any::new(Tag::Null, [])).transpose()?;
    let info = SignerInfo {
        version: CmsVersion::V1,
        sid: SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
            issuer: leaf.tbs_certificate.issuer.clone(),
            serial_number: leaf.tbs_certificate.serial_number.clone(),
        }),
        digest_alg: named(*digest_oid),
        signed_attrs: Some(attributes),
        signature_algorithm: AlgorithmIdentifierOwned { oid: *signature_oid, parameters },
        signature: OctetString::new(signature)?,
        unsigned_attrs: None,
    };
    let certificates: Vec<_> = chain.into_iter().map(CertificateChoices::Certificate).collect();
    let signed = SignedData {
        version: CmsVersion::V1,
        digest_algorithms: SetOfVec::try_from(vec![named(*digest_oid)])?,
        encap_content_info: EncapsulatedContentInfo {
            econtent_type: DATA,
            econtent: Some(Any::new(Tag::OctetString, content)?),
        },
        certificates: Some(CertificateSet(SetOfVec::try_from(certificates)?)),
        crls: None,
        signer_infos: SignerInfos(SetOfVec::try_from(vec![info])?),
    };
    Ok(ContentInfo { content_type: SIGNED_DATA, content: Any::encode_from(&signed)? }.to_der()?)
}
