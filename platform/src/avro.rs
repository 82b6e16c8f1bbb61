//! Avro in the Confluent wire format: a zero byte, the schema id as 4 bytes big endian, the datum.
//!
//! A schema is registered once at start; after that encoding is a 5-byte prefix and one pass of
//! the schema-aware writer, without an intermediate value tree and without the registry.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema::Schema;
use apache_avro::util::max_allocation_bytes;
use apache_avro::writer::datum::GenericDatumWriter;
use schema_registry_converter::async_impl::schema_registry::{
    SrSettings, get_schema_by_id_and_type, post_schema,
};
use schema_registry_converter::error::SRCError;
use schema_registry_converter::schema_registry_common::{SchemaType, SuppliedSchema};
use schemas::Record;

const MAGIC: u8 = 0;
const PREFIX_BYTES: usize = 5;
/// A registry that does not answer within this time is away.
const REGISTRY_TIMEOUT: Duration = Duration::from_secs(5);
/// What one length in a datum may make us allocate, in bytes. Our largest records hold what a batch did, some 100 bytes for each of 2,000
/// commands; and a broker takes no record above 1 MiB (`max.message.bytes`). avro's own limit is 512 MiB: one damaged length prefix
/// would cost a box office that much, on its only thread.
const MAX_ALLOCATION_BYTES: usize = 1024 * 1024;
/// Set before the first registration: a registry enforces nothing until told.
const COMPATIBILITY: &str = "FULL_TRANSITIVE";

/// What can go wrong with the registry.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The registry refused or is away.
    #[error("schema registry: {action}")]
    Call {
        /// What was asked.
        action: String,
        /// Why it failed.
        #[source]
        source: SRCError,
    },
    /// The compatibility level could not be set.
    #[error("schema registry: set compatibility {COMPATIBILITY}")]
    Compatibility(#[source] reqwest::Error),
    /// The registry holds a schema that does not parse.
    #[error("schema {id} of the registry")]
    Parse {
        /// The id in the registry.
        id: u32,
        /// Why.
        #[source]
        source: apache_avro::Error,
    },
}

/// Bytes that are not a record of the expected kind. No retry helps.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Too short, or another magic byte.
    #[error("not in the Confluent wire format")]
    NotFramed,
    /// The registry does not know the id.
    #[error("schema id {0} is unknown to the registry")]
    UnknownSchema(u32),
    /// The datum does not fit its schema, or its schema does not fit the reader's.
    #[error("datum does not fit schema {id}: {source}")]
    Datum {
        /// The writer's schema id.
        id: u32,
        /// Why.
        source: apache_avro::Error,
    },
    /// Bytes are left behind the datum.
    #[error("{0} bytes left behind the datum")]
    Trailing(usize),
}

/// The registry, with every schema that this process has met.
#[derive(Clone)]
pub struct Registry {
    settings: SrSettings,
    http: reqwest::Client,
    url: String,
    known: Arc<Mutex<HashMap<u32, WriterSchema>>>,
}

/// A schema that some record was written with.
///
/// Both parts live as long as the process: a schema id never changes its meaning, and a topic
/// sees a handful of them in its life.
#[derive(Clone, Copy)]
pub struct WriterSchema {
    /// Id in the registry.
    pub id: u32,
    schema: &'static Schema,
    /// Full record name, such as `ticketing.checkout.OrderReserved`.
    pub name: &'static str,
}

impl Registry {
    /// `url` is the base of the Confluent-compatible API.
    pub fn new(url: &str) -> Result<Self, RegistryError> {
        // For the whole process, and only the first call counts: nothing is decoded before there is a registry.
        max_allocation_bytes(MAX_ALLOCATION_BYTES);
        let settings = SrSettings::new_builder(url.to_owned())
            .set_timeout(REGISTRY_TIMEOUT)
            .build()
            .map_err(|source| RegistryError::Call {
                action: format!("use {url}"),
                source,
            })?;
        let http = reqwest::Client::builder()
            .timeout(REGISTRY_TIMEOUT)
            .build()
            .map_err(RegistryError::Compatibility)?;
        Ok(Self {
            settings,
            http,
            url: url.trim_end_matches('/').to_owned(),
            known: Arc::default(),
        })
    }

    /// Sets the compatibility level that every later registration is held to.
    pub async fn require_compatibility(&self) -> Result<(), RegistryError> {
        self.http
            .put(format!("{}/config", self.url))
            .json(&serde_json::json!({ "compatibility": COMPATIBILITY }))
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
            .map_err(RegistryError::Compatibility)?;
        Ok(())
    }

    /// Registers `R` for its topic (registering again gives the same id).
    pub async fn register<R: Record>(&self) -> Result<Encoder<R>, RegistryError> {
        self.register_on::<R>(R::TOPIC).await
    }

    /// Registers `R` for `topic`.
    pub async fn register_on<R: Record>(&self, topic: &str) -> Result<Encoder<R>, RegistryError> {
        let subject = R::subject(topic);
        let supplied = SuppliedSchema::new(
            Some(R::NAME.into()),
            SchemaType::Avro,
            R::SCHEMA_TEXT.into(),
        );
        let registered = post_schema(&self.settings, subject.clone(), supplied)
            .await
            .map_err(|source| RegistryError::Call {
                action: format!("register {subject}"),
                source,
            })?;
        let writer = GenericDatumWriter::builder(R::schema())
            .human_readable(true)
            .build()
            .map_err(|source| RegistryError::Parse {
                id: registered.id,
                source,
            })?;
        self.remember(WriterSchema {
            id: registered.id,
            schema: R::schema(),
            name: R::NAME,
        });
        Ok(Encoder {
            id: registered.id,
            writer: Arc::new(writer),
            record: PhantomData,
        })
    }

    fn remember(&self, schema: WriterSchema) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(schema.id, schema);
    }

    fn recall(&self, id: u32) -> Option<WriterSchema> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&id).copied()
    }

    /// The schema with this id: from memory, else from the registry.
    ///
    /// `Ok(None)`: the registry answers and does not know the id.
    pub async fn writer_schema(&self, id: u32) -> Result<Option<WriterSchema>, RegistryError> {
        if let Some(schema) = self.recall(id) {
            return Ok(Some(schema));
        }
        let found = get_schema_by_id_and_type(id, &self.settings, SchemaType::Avro).await;
        let registered = match found {
            Ok(registered) => registered,
            Err(error) if !error.retriable => return Ok(None),
            Err(source) => {
                return Err(RegistryError::Call {
                    action: format!("fetch schema {id}"),
                    source,
                });
            }
        };
        let schema = Schema::parse_str(&registered.schema)
            .map_err(|source| RegistryError::Parse { id, source })?;
        let name = schema.name().map(ToString::to_string).unwrap_or_default();
        let schema = WriterSchema {
            id,
            schema: Box::leak(Box::new(schema)),
            name: Box::leak(name.into_boxed_str()),
        };
        self.remember(schema);
        Ok(Some(schema))
    }

    /// Splits a payload into its schema and its datum.
    pub async fn open<'a>(
        &self,
        payload: &'a [u8],
    ) -> Result<Result<Datum<'a>, DecodeError>, RegistryError> {
        let (id, body) = match unframe(payload) {
            Ok(parts) => parts,
            Err(error) => return Ok(Err(error)),
        };
        Ok(match self.writer_schema(id).await? {
            Some(schema) => Ok(Datum { schema, body }),
            None => Err(DecodeError::UnknownSchema(id)),
        })
    }

    /// [`Registry::open`] for a thread that may not wait: `None` when the schema is not in memory
    /// yet and must be fetched with [`Registry::writer_schema`] first.
    pub fn open_known<'a>(&self, payload: &'a [u8]) -> Option<Result<Datum<'a>, DecodeError>> {
        match unframe(payload) {
            Ok((id, body)) => self.recall(id).map(|schema| Ok(Datum { schema, body })),
            Err(error) => Some(Err(error)),
        }
    }
}

/// The schema id and the datum of a framed payload.
pub fn unframe(payload: &[u8]) -> Result<(u32, &[u8]), DecodeError> {
    match payload {
        [MAGIC, a, b, c, d, body @ ..] => Ok((u32::from_be_bytes([*a, *b, *c, *d]), body)),
        _ => Err(DecodeError::NotFramed),
    }
}

/// A record that is not read yet: its name tells which type to read.
#[derive(Clone, Copy)]
pub struct Datum<'a> {
    schema: WriterSchema,
    body: &'a [u8],
}

impl Datum<'_> {
    /// Full record name.
    pub fn name(&self) -> &'static str {
        self.schema.name
    }

    /// Reads the record as `R`, whatever version of `R` it was written with.
    pub fn read<R: Record>(&self) -> Result<R, DecodeError> {
        let mut body = self.body;
        let record = self
            .read_from::<R>(&mut body)
            .map_err(|source| DecodeError::Datum {
                id: self.schema.id,
                source,
            })?;
        if body.is_empty() {
            Ok(record)
        } else {
            Err(DecodeError::Trailing(body.len()))
        }
    }

    fn read_from<R: Record>(&self, body: &mut &[u8]) -> Result<R, apache_avro::Error> {
        if std::ptr::eq(self.schema.schema, R::schema()) || self.schema.schema == R::schema() {
            return reader(R::schema())?.read_deser(body);
        }
        // Another version: resolve it to ours, then read it as ours, so that there is one way
        // from bytes to struct.
        let value = GenericDatumReader::builder(self.schema.schema)
            .reader_schema(R::schema())
            .build()?
            .read_value(body)?;
        let ours = GenericDatumWriter::builder(R::schema())
            .build()?
            .write_value_to_vec(value)?;
        reader(R::schema())?.read_deser(&mut ours.as_slice())
    }
}

fn reader(schema: &'static Schema) -> Result<GenericDatumReader<'static>, apache_avro::Error> {
    GenericDatumReader::builder(schema)
        .human_readable(true)
        .build()
}

/// Writes records of one type.
pub struct Encoder<R> {
    id: u32,
    writer: Arc<GenericDatumWriter<'static>>,
    record: PhantomData<fn(&R)>,
}

impl<R> Clone for Encoder<R> {
    fn clone(&self) -> Self {
        Self {
            id: self.id,
            writer: Arc::clone(&self.writer),
            record: PhantomData,
        }
    }
}

impl<R: Record> Encoder<R> {
    /// The framed bytes of a record.
    ///
    /// # Panics
    /// When the struct does not fit its schema; a test holds every struct to its schema.
    #[expect(
        clippy::expect_used,
        reason = "a test holds every struct to its schema"
    )]
    pub fn encode(&self, record: &R) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(PREFIX_BYTES + 256);
        bytes.push(MAGIC);
        bytes.extend_from_slice(&self.id.to_be_bytes());
        self.writer
            .write_ser(&mut bytes, record)
            .expect("a record fits its schema");
        bytes
    }
}
