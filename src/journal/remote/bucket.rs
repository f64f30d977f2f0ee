//! One session's place in object storage.

use std::{pin::Pin, sync::Arc, time::Duration};

use aws_config::BehaviorVersion;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use jiff::Timestamp;
use object_store::{
    ClientOptions, CredentialProvider, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, RetryConfig,
    aws::{AmazonS3Builder, AwsCredential},
    local::LocalFileSystem,
    path::Path,
};
use url::Url;

use super::{
    super::{line::Flaw, reader::ReadError},
    FORMAT, Head, Identity, Kind, Writer,
};
use crate::clock::wall_now;

/// How long one request may take, wall time.
const REQUEST: Duration = Duration::from_secs(4);
const CONNECT: Duration = Duration::from_secs(2);

/// Why the storage is of no use now.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// Not an address of a storage.
    #[error(
        "failed to use `{0}` for a journal: write s3://BUCKET/PREFIX, or file:///DIRECTORY for one that machines share"
    )]
    Address(String),
    /// A key must not travel in the clear.
    #[error("failed to use {0} for a journal: plain http is for loopback only")]
    InTheClear(String),
    /// The storage did not do it, or did not say so.
    #[error("failed to {what} {place}")]
    Storage {
        /// `read` or `write`.
        what: &'static str,
        /// Which object.
        place: String,
        /// Why.
        #[source]
        source: object_store::Error,
    },
    /// Another engine has the log.
    #[error("{0} has the journal: this one only reads")]
    Lost(Writer),
    /// What stands there is not believed.
    #[error("failed to read {place}: {reason}")]
    Unbelievable {
        /// Which object.
        place: String,
        /// Why.
        reason: String,
    },
    /// A line of the journal is wrong.
    #[error("failed to read {place}: {flaw}")]
    Flawed {
        /// Which object.
        place: String,
        /// What is wrong.
        #[source]
        flaw: Flaw,
    },
    /// The local copy does not lead to what stands in the storage.
    #[error("the local journal and {0} tell different stories: nothing is done until a person has looked at both")]
    Diverged(String),
    /// The local copy cannot be used.
    #[error(transparent)]
    Local(#[from] ReadError),
    /// The local copy cannot be completed.
    #[error("failed to complete the local copy of the journal")]
    Copy(#[source] std::io::Error),
    /// A session is there already.
    #[error("failed to begin at {place}: session {session} is there; take another prefix")]
    Taken {
        /// Where.
        place: String,
        /// Which session.
        session: String,
    },
}

/// Whether a word on the command line means a place in a storage.
#[must_use]
pub fn is_remote(word: &str) -> bool {
    word.starts_with("s3://") || word.starts_with("file:///")
}

/// A session's place in object storage. A clone is another handle.
#[derive(Debug, Clone)]
pub struct Remote {
    url: String,
    store: Arc<dyn ObjectStore>,
    prefix: Path,
}

/// One object of the log.
pub(super) struct Object {
    pub(super) head: Head,
    /// Lines of the journal.
    pub(super) lines: bytes::Bytes,
    /// When the storage took it, by the storage's clock.
    pub(super) stored: Timestamp,
}

impl Remote {
    /// Names a place; nothing is read or made. Credentials, region and endpoint come the way every AWS tool takes them.
    ///
    /// # Errors
    /// [`RemoteError::Address`], [`RemoteError::InTheClear`], or a client that cannot be made.
    pub async fn open(url: &str) -> Result<Self, RemoteError> {
        let address = || RemoteError::Address(url.to_owned());
        let parsed = Url::parse(url).map_err(|_| address())?;
        let made = |source| RemoteError::Storage { what: "use", place: url.to_owned(), source };
        match parsed.scheme() {
            "s3" => {
                let bucket = parsed.host_str().filter(|bucket| !bucket.is_empty()).ok_or_else(address)?;
                let prefix = Path::parse(parsed.path().trim_matches('/')).map_err(|_| address())?;
                Ok(Self { url: url.to_owned(), store: Arc::new(bucket_store(bucket).await?), prefix })
            }
            "file" => {
                let folder = parsed.to_file_path().map_err(|()| address())?;
                std::fs::create_dir_all(&folder).map_err(RemoteError::Copy)?;
                let store = LocalFileSystem::new_with_prefix(folder).map_err(made)?;
                Ok(Self { url: url.to_owned(), store: Arc::new(store), prefix: Path::default() })
            }
            _ => Err(address()),
        }
    }

    /// The place, as a person wrote it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The session that lives there; None: none yet.
    ///
    /// # Errors
    /// [`RemoteError::Storage`], [`RemoteError::Unbelievable`].
    pub async fn identity(&self) -> Result<Option<Identity>, RemoteError> {
        let key = self.prefix.clone().join("session.json");
        let Some((bytes, _)) = self.get(&key).await? else { return Ok(None) };
        let wrong = |error: serde_json::Error| self.unbelievable(&key, &error.to_string());
        serde_json::from_slice(&bytes).map(Some).map_err(wrong)
    }

    /// Begins a session there, and makes `writer` the one that has its log.
    ///
    /// # Errors
    /// [`RemoteError::Taken`] when another one was quicker.
    pub async fn begin(&self, identity: &Identity, writer: &Writer) -> Result<(), RemoteError> {
        let key = self.prefix.clone().join("session.json");
        let bytes = serde_json::to_vec_pretty(identity).map_err(|error| self.unbelievable(&key, &error.to_string()))?;
        if !self.create(&key, bytes.into()).await? {
            let there = self.identity().await?;
            // The answer of an earlier attempt of ours may have been lost.
            if there.as_ref() != Some(identity) {
                let session = there.map_or_else(String::new, |there| there.session);
                return Err(RemoteError::Taken { place: self.url.clone(), session });
            }
        }
        self.claim(0, writer).await
    }

    /// Makes `writer` the one that has the log, if nothing was written behind object `after`.
    ///
    /// # Errors
    /// [`RemoteError::Lost`] when somebody wrote in the meantime.
    pub async fn claim(&self, after: u64, writer: &Writer) -> Result<(), RemoteError> {
        let head = Head {
            v: FORMAT,
            object: after + 1,
            kind: Kind::Claim,
            writer: writer.clone(),
            wall: wall_now(),
            void: Vec::new(),
        };
        let bytes = self.encode(&head, &[])?;
        if self.create(&self.key(head.object), bytes.clone()).await? {
            return Ok(());
        }
        match self.object(head.object).await? {
            Some(object) if object.head.writer.id == writer.id => Ok(()),
            Some(object) => Err(RemoteError::Lost(object.head.writer)),
            None => Err(self.unbelievable(&self.key(head.object), "it stands there and cannot be read")),
        }
    }

    /// Makes object `number` of lines that are known already.
    ///
    /// # Errors
    /// [`RemoteError::Lost`] when one stands there.
    pub(super) async fn write_lines(&self, number: u64, writer: &Writer, lines: &[u8]) -> Result<(), RemoteError> {
        let writer = writer.clone();
        let head = Head { v: FORMAT, object: number, kind: Kind::Entries, writer, wall: wall_now(), void: Vec::new() };
        if self.write(number, self.encode(&head, lines)?).await? {
            return Ok(());
        }
        match self.object(number).await? {
            Some(object) if object.head == head && object.lines == lines => Ok(()),
            Some(object) => Err(RemoteError::Lost(object.head.writer)),
            None => Err(self.unbelievable(&self.key(number), "it stands there and cannot be read")),
        }
    }

    /// An object's bytes.
    pub(super) fn encode(&self, head: &Head, lines: &[u8]) -> Result<bytes::Bytes, RemoteError> {
        let mut bytes =
            serde_json::to_vec(head).map_err(|error| self.unbelievable(&self.key(head.object), &error.to_string()))?;
        bytes.push(b'\n');
        bytes.extend_from_slice(lines);
        Ok(bytes.into())
    }

    /// Makes object `number`; false: one stands there.
    pub(super) async fn write(&self, number: u64, bytes: bytes::Bytes) -> Result<bool, RemoteError> {
        self.create(&self.key(number), bytes).await
    }

    /// Object `number`; None: it is not there yet.
    pub(super) async fn object(&self, number: u64) -> Result<Option<Object>, RemoteError> {
        let key = self.key(number);
        let Some((bytes, stored)) = self.get(&key).await? else { return Ok(None) };
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let end = end.ok_or_else(|| self.unbelievable(&key, "it has no head"))?;
        let wrong = |error: serde_json::Error| self.unbelievable(&key, &error.to_string());
        let head: Head = serde_json::from_slice(&bytes[..end]).map_err(wrong)?;
        match (head.v, head.object) {
            (FORMAT, object) if object == number => {}
            (FORMAT, _) => return Err(self.unbelievable(&key, "it says that it is another object")),
            (version, _) => {
                let reason = format!("it has format version {version}, and this program knows {FORMAT}");
                return Err(self.unbelievable(&key, &reason));
            }
        }
        Ok(Some(Object { head, lines: bytes.slice(end + 1..), stored }))
    }

    pub(super) fn place(&self, number: u64) -> String {
        format!("{}/log/{number:012}.jsonl", self.url)
    }

    fn key(&self, number: u64) -> Path {
        self.prefix.clone().join("log").join(format!("{number:012}.jsonl"))
    }

    fn unbelievable(&self, key: &Path, reason: &str) -> RemoteError {
        RemoteError::Unbelievable { place: key.to_string(), reason: reason.to_owned() }
    }

    async fn create(&self, key: &Path, bytes: bytes::Bytes) -> Result<bool, RemoteError> {
        let put = self.store.put_opts(key, bytes.into(), PutOptions::from(PutMode::Create));
        match put.await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Ok(false),
            Err(source) => Err(RemoteError::Storage { what: "write", place: key.to_string(), source }),
        }
    }

    async fn get(&self, key: &Path) -> Result<Option<(bytes::Bytes, Timestamp)>, RemoteError> {
        let failed = |source| RemoteError::Storage { what: "read", place: key.to_string(), source };
        let found = match self.store.get(key).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(source) => return Err(failed(source)),
        };
        let stored = Timestamp::from_second(found.meta.last_modified.timestamp()).unwrap_or_default();
        found.bytes().await.map(|bytes| Some((bytes, stored))).map_err(failed)
    }
}

/// Bucket client with the credentials, region and endpoint of the AWS configuration.
async fn bucket_store(bucket: &str) -> Result<object_store::aws::AmazonS3, RemoteError> {
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let retry = RetryConfig { max_retries: 2, retry_timeout: REQUEST, ..RetryConfig::default() };
    let mut builder = AmazonS3Builder::new().with_bucket_name(bucket).with_retry(retry);
    if let Some(region) = config.region() {
        builder = builder.with_region(region.as_ref());
    }
    if let Some(provider) = config.credentials_provider() {
        builder = builder.with_credentials(Arc::new(Credentials(provider)));
    }
    let named = |name| std::env::var(name).ok().filter(|url: &String| !url.is_empty());
    let endpoint = named("AWS_ENDPOINT_URL_S3").or_else(|| named("AWS_ENDPOINT_URL"));
    let endpoint = endpoint.or_else(|| config.endpoint_url().map(str::to_owned));
    let mut client = ClientOptions::new().with_timeout(REQUEST).with_connect_timeout(CONNECT);
    if let Some(endpoint) = endpoint {
        if endpoint.starts_with("http://") {
            if !on_loopback(&endpoint) {
                return Err(RemoteError::InTheClear(endpoint));
            }
            client = client.with_allow_http(true);
        }
        builder = builder.with_endpoint(endpoint);
    }
    let made = builder.with_client_options(client).build();
    made.map_err(|source| RemoteError::Storage { what: "use", place: format!("s3://{bucket}"), source })
}

pub(super) fn on_loopback(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The AWS configuration's credentials, asked for each time: their provider caches and refreshes them.
#[derive(Debug)]
struct Credentials(SharedCredentialsProvider);

impl CredentialProvider for Credentials {
    type Credential = AwsCredential;

    // What `async fn` becomes in this trait.
    fn get_credential<'a, 'b>(
        &'a self,
    ) -> Pin<Box<dyn Future<Output = object_store::Result<Arc<AwsCredential>>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            let found = self.0.provide_credentials().await;
            let found = found.map_err(|error| object_store::Error::Generic { store: "S3", source: Box::new(error) })?;
            Ok(Arc::new(AwsCredential {
                key_id: found.access_key_id().to_owned(),
                secret_key: found.secret_access_key().to_owned(),
                token: found.session_token().map(str::to_owned),
            }))
        })
    }
}
