//! Berth's own trace file: Parquet, in order of arrival.
//!
//! | column | type | content |
//! |---|---|---|
//! | `vm_id` | text | missing if the identifiers are a prefix and a counter: the file's metadata then has both |
//! | `arrival_us`, `departure_us` | integers | microseconds; no departure for a VM that never leaves |
//! | `vcpus`, `memory_mb`, `disk_gb` | integers | amounts |
//! | `flavor` | text | |
//! | `batch` | integer | optional |
//! | others | text or integers | the fields of [`Demands`] that any VM of the trace has, and the columns carried along, as `extra.NAME` |
//!
//! Times are packed as differences and repeated texts as numbers in a dictionary, so a file is
//! smaller than the CSV with gzip and needs no decompression. Other programs read it as any Parquet
//! file.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use compact_str::{CompactString, ToCompactString, format_compact};
use parquet::basic::{Compression, Encoding};
use parquet::column::reader::{ColumnReader, get_typed_column_reader};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

use crate::{BatchNumber, Demands, Micros, Pair, ReadProgress, Resources, TraceError, Unit, Vm, WriteError};

/// How every Parquet file begins.
pub(crate) const MAGIC: &[u8] = b"PAR1";

/// VMs in one row group, which is read as a whole.
const ROW_GROUP: usize = 1 << 16;

const VERSION: &str = "berth.trace.version";
const ID_PREFIX: &str = "berth.trace.id_prefix";
const ID_FIRST: &str = "berth.trace.id_first";

/// What the columns of extra fields begin with.
const EXTRA: &str = "extra.";

/// A field of [`Demands`], as a column.
#[derive(Clone)]
enum Label {
    Text(&'static str, fn(&Demands) -> CompactString, fn(&mut Demands, &str)),
    Count(&'static str, fn(&Demands) -> u32, fn(&mut Demands, u32)),
    Extra(CompactString),
}

impl Label {
    fn column(&self) -> String {
        match self {
            Self::Text(name, ..) | Self::Count(name, ..) => (*name).to_owned(),
            Self::Extra(name) => format!("{EXTRA}{name}"),
        }
    }

    /// The text of a VM; empty if it has none.
    fn text(&self, demands: &Demands) -> CompactString {
        match self {
            Self::Text(_, get, _) => get(demands),
            Self::Count(..) => CompactString::default(),
            Self::Extra(name) => {
                let own = demands.extra.iter().find(|(key, _)| key == name);
                own.map(|(_, value)| value.clone()).unwrap_or_default()
            }
        }
    }

    fn is_in(&self, demands: &Demands) -> bool {
        match self {
            Self::Count(_, get, _) => get(demands) > 0,
            Self::Text(..) | Self::Extra(_) => !self.text(demands).is_empty(),
        }
    }
}

/// Every field of [`Demands`] but the extra ones.
fn labels() -> Vec<Label> {
    fn pairs(pairs: &[Pair]) -> CompactString {
        let texts: Vec<_> = pairs.iter().map(|(key, value)| format!("{key}={value}")).collect();
        texts.join(";").into()
    }
    fn parsed(text: &str) -> Vec<Pair> {
        text.split(';').filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect()
    }
    vec![
        Label::Text("zone", |d| d.zone.clone(), |d, text| d.zone = text.into()),
        Label::Text("extra_specs", |d| pairs(&d.extra_specs), |d, text| d.extra_specs = parsed(text)),
        Label::Text("host", |d| d.host.clone(), |d, text| d.host = text.into()),
        Label::Text("project", |d| d.project.clone(), |d, text| d.project = text.into()),
        Label::Text("group", |d| d.group.clone(), |d, text| d.group = text.into()),
        Label::Text("policy", |d| d.policy.clone(), |d, text| d.policy = text.into()),
        Label::Text(
            "gpu_spec",
            |d| d.gpu_models.join("|").into(),
            |d, text| d.gpu_models = text.split('|').map(Into::into).collect(),
        ),
        Label::Count("gpus", |d| d.gpus, |d, count| d.gpus = count),
        Label::Count("gpu_milli", |d| d.gpu_milli, |d, count| d.gpu_milli = count),
        Label::Count("numa", |d| d.numa_cells, |d, count| d.numa_cells = count),
        Label::Count("vcpu_milli", |d| d.vcpu_milli, |d, count| d.vcpu_milli = count),
    ]
}

/// The identifiers as a prefix and the number of the first, if they count up from it.
fn counted_ids(vms: &[Vm]) -> Option<(CompactString, u64)> {
    let first = &vms.first()?.id;
    let digits = first.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (prefix, number) = first.split_at(first.len() - digits);
    let start: u64 = number.parse().ok()?;
    let counts = (start..).zip(vms).all(|(number, vm)| {
        vm.id.strip_prefix(prefix).is_some_and(|rest| rest == number.to_compact_string())
    });
    counts.then(|| (prefix.into(), start))
}

/// Writes a trace file. The VMs have to be in order of arrival.
///
/// # Errors
/// The file cannot be written.
pub fn write(path: impl AsRef<Path>, vms: &[Vm]) -> Result<(), WriteError> {
    let path = path.as_ref();
    let failed =
        |error: ParquetError| WriteError::Parquet { path: path.to_owned(), reason: error.to_string() };
    let file = File::create(path).map_err(|source| WriteError::Io { path: path.to_owned(), source })?;
    let ids = counted_ids(vms);
    let used = used_labels(vms);
    let schema = Arc::new(parse_message_type(&schema(ids.is_none(), &used)).map_err(failed)?);
    let mut metadata = vec![KeyValue::new(VERSION.to_owned(), "1".to_owned())];
    if let Some((prefix, first)) = &ids {
        metadata.push(KeyValue::new(ID_PREFIX.to_owned(), prefix.to_string()));
        metadata.push(KeyValue::new(ID_FIRST.to_owned(), first.to_string()));
    }
    let packed = |properties: parquet::file::properties::WriterPropertiesBuilder, column: &str| {
        let column = ColumnPath::from(column);
        properties
            .set_column_dictionary_enabled(column.clone(), false)
            .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED)
    };
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::UNCOMPRESSED)
        .set_created_by("berth".to_owned())
        .set_key_value_metadata(Some(metadata));
    for column in ["arrival_us", "departure_us", "batch"] {
        properties = packed(properties, column);
    }
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties.build())).map_err(failed)?;
    for vms in vms.chunks(ROW_GROUP) {
        let mut group = writer.next_row_group().map_err(failed)?;
        write_group(&mut group, vms, ids.is_none(), &used).map_err(failed)?;
        group.close().map_err(failed)?;
    }
    writer.close().map_err(failed)?;
    Ok(())
}

fn used_labels(vms: &[Vm]) -> Vec<Label> {
    let demands = || vms.iter().filter_map(|vm| vm.demands.as_deref());
    let known = labels().into_iter().filter(|label| demands().any(|demands| label.is_in(demands)));
    let mut extra: Vec<CompactString> = Vec::new();
    for (name, _) in demands().flat_map(|demands| &demands.extra) {
        if !extra.contains(name) {
            extra.push(name.clone());
        }
    }
    known.chain(extra.into_iter().map(Label::Extra)).collect()
}

fn schema(has_ids: bool, labels: &[Label]) -> String {
    let id = if has_ids { "REQUIRED BYTE_ARRAY vm_id (UTF8);" } else { "" };
    let labels = labels.iter().map(|label| match label {
        Label::Count(name, ..) => format!("OPTIONAL INT32 {name};"),
        label => format!("OPTIONAL BYTE_ARRAY {} (UTF8);", parquet_name(&label.column())),
    });
    format!(
        "message trace {{ {id} REQUIRED INT64 arrival_us; OPTIONAL INT64 departure_us; \
         REQUIRED INT32 vcpus (UINT_32); REQUIRED INT32 memory_mb (UINT_32); REQUIRED INT32 disk_gb (UINT_32); \
         REQUIRED BYTE_ARRAY flavor (UTF8); OPTIONAL INT64 batch; {} }}",
        labels.collect::<Vec<_>>().join(" ")
    )
}

/// A column's name without the characters that end a name in a schema's text.
fn parquet_name(name: &str) -> String {
    name.chars()
        .map(|letter| if letter.is_whitespace() || "(){};,=".contains(letter) { '_' } else { letter })
        .collect()
}

fn write_group(
    group: &mut SerializedRowGroupWriter<'_, File>,
    vms: &[Vm],
    has_ids: bool,
    labels: &[Label],
) -> Result<(), ParquetError> {
    let text = |text: &CompactString| ByteArray::from(text.as_bytes().to_vec());
    if has_ids {
        column::<ByteArrayType>(group, vms.iter().map(|vm| Some(text(&vm.id))), false)?;
    }
    column::<Int64Type>(group, vms.iter().map(|vm| Some(vm.arrival.0.cast_signed())), false)?;
    column::<Int64Type>(group, vms.iter().map(|vm| vm.departure.map(|at| at.0.cast_signed())), true)?;
    for amount in [|r: &Resources| r.vcpus, |r: &Resources| r.memory_mb, |r: &Resources| r.disk_gb] {
        column::<Int32Type>(group, vms.iter().map(|vm| Some(amount(&vm.resources).cast_signed())), false)?;
    }
    column::<ByteArrayType>(group, vms.iter().map(|vm| Some(text(&vm.flavor))), false)?;
    column::<Int64Type>(
        group,
        vms.iter().map(|vm| vm.batch.map(|batch| batch.number().cast_signed())),
        true,
    )?;
    for label in labels {
        let demands = vms.iter().map(|vm| vm.demands.as_deref());
        if let Label::Count(_, get, _) = label {
            let count = |demands| Some(get(demands)).filter(|&count| count > 0).map(u32::cast_signed);
            column::<Int32Type>(group, demands.map(|demands| demands.and_then(count)), true)?;
        } else {
            let value = |demands| Some(label.text(demands)).filter(|value| !value.is_empty());
            let values = demands.map(|demands| demands.and_then(value).as_ref().map(text));
            column::<ByteArrayType>(group, values, true)?;
        }
    }
    Ok(())
}

fn column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    values: impl Iterator<Item = Option<T::T>>,
    is_optional: bool,
) -> Result<(), ParquetError> {
    let mut writer =
        group.next_column()?.ok_or_else(|| ParquetError::General("no column left".to_owned()))?;
    let values: Vec<Option<T::T>> = values.collect();
    let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
    let present: Vec<T::T> = values.into_iter().flatten().collect();
    writer.typed::<T>().write_batch(&present, is_optional.then_some(&levels[..]), None)?;
    writer.close()
}

/// A Parquet file that is open.
pub(crate) struct ParquetFile {
    pub(crate) path: PathBuf,
    pub(crate) reader: SerializedFileReader<File>,
}

impl ParquetFile {
    pub(crate) fn open(path: &Path) -> Result<Self, TraceError> {
        let failed = |source| TraceError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let reader = SerializedFileReader::new(file).map_err(|error| damaged(path, &error))?;
        Ok(Self { path: path.to_owned(), reader })
    }

    /// Whether it is a trace file of Berth.
    pub(crate) fn is_ours(&self) -> bool {
        self.value(VERSION).is_some()
    }

    fn value(&self, key: &str) -> Option<String> {
        let values = self.reader.metadata().file_metadata().key_value_metadata()?;
        values.iter().find(|pair| pair.key == key)?.value.clone()
    }

    /// The names of the columns.
    pub(crate) fn columns(&self) -> Vec<String> {
        let schema = self.reader.metadata().file_metadata().schema_descr();
        schema.columns().iter().map(|column| column.name().to_owned()).collect()
    }
}

pub(crate) fn damaged(path: &Path, error: &ParquetError) -> TraceError {
    TraceError::Damaged {
        path: path.to_owned(),
        reason: format!("damaged or not a Parquet file that can be read: {error}"),
    }
}

/// The VMs of a trace file.
pub(crate) struct VmGroups {
    file: ParquetFile,
    columns: BTreeMap<String, usize>,
    labels: Vec<(usize, Label)>,
    ids: Option<(CompactString, u64)>,
    next_group: usize,
    group: std::vec::IntoIter<Vm>,
    read: u64,
    progress: ReadProgress,
}

impl VmGroups {
    pub(crate) fn new(file: ParquetFile) -> Result<Self, TraceError> {
        let version = file.value(VERSION).unwrap_or_default();
        if version != "1" {
            let reason = format!("a trace file of version {version:?}, which a later Berth has written");
            return Err(TraceError::Damaged { path: file.path.clone(), reason });
        }
        let columns: BTreeMap<String, usize> = file.columns().into_iter().zip(0..).collect();
        let known = labels().into_iter().filter_map(|label| Some((*columns.get(&label.column())?, label)));
        let mut labels: Vec<_> = known.collect();
        let extra = columns
            .iter()
            .filter_map(|(name, &at)| Some((at, Label::Extra(name.strip_prefix(EXTRA)?.into()))));
        labels.extend(extra);
        labels.sort_by_key(|(at, _)| *at);
        let first = file.value(ID_FIRST).and_then(|first| first.parse().ok());
        let ids = file.value(ID_PREFIX).zip(first).map(|(prefix, first)| (prefix.into(), first));
        let rows = file.reader.metadata().file_metadata().num_rows();
        let progress = ReadProgress::new(rows.unsigned_abs(), Unit::Vms);
        let group = Vec::new().into_iter();
        Ok(Self { file, columns, labels, ids, next_group: 0, group, read: 0, progress })
    }

    pub(crate) fn progress(&self) -> ReadProgress {
        self.progress.clone()
    }

    fn read_group(&mut self) -> Result<Vec<Vm>, TraceError> {
        let vms = self.vms_of(self.next_group).map_err(|error| damaged(&self.file.path, &error));
        self.next_group += 1;
        vms
    }

    fn vms_of(&self, group: usize) -> Result<Vec<Vm>, ParquetError> {
        let group = self.file.reader.get_row_group(group)?;
        let rows = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
        let place = |name: &str| {
            let place = self.columns.get(name).copied();
            place.ok_or_else(|| ParquetError::General(format!("there is no column {name}")))
        };
        let reader = |at: usize| group.get_column_reader(at);
        let required = |name: &str| place(name).and_then(reader);
        let ids = match self.ids {
            Some(_) => Vec::new(),
            None => required_values::<ByteArrayType>(required("vm_id")?, rows)?,
        };
        let arrivals = required_values::<Int64Type>(required("arrival_us")?, rows)?;
        let departures = optional_values::<Int64Type>(required("departure_us")?, rows)?;
        let vcpus = required_values::<Int32Type>(required("vcpus")?, rows)?;
        let memory = required_values::<Int32Type>(required("memory_mb")?, rows)?;
        let disk = required_values::<Int32Type>(required("disk_gb")?, rows)?;
        let flavors = required_values::<ByteArrayType>(required("flavor")?, rows)?;
        let batches = optional_values::<Int64Type>(required("batch")?, rows)?;
        let (mut departures, mut batches) = (departures.into_iter(), batches.into_iter());
        let mut vms = Vec::with_capacity(rows);
        for row in 0..rows {
            let id = match &self.ids {
                Some((prefix, first)) => counted(prefix, first + self.read + row as u64),
                None => CompactString::from_utf8_lossy(ids[row].data()),
            };
            vms.push(Vm {
                id,
                arrival: Micros(arrivals[row].cast_unsigned()),
                departure: departures.next().flatten().map(|at| Micros(at.cast_unsigned())),
                resources: Resources {
                    vcpus: vcpus[row].cast_unsigned(),
                    memory_mb: memory[row].cast_unsigned(),
                    disk_gb: disk[row].cast_unsigned(),
                },
                flavor: CompactString::from_utf8_lossy(flavors[row].data()),
                batch: batches.next().flatten().map(i64::cast_unsigned).and_then(BatchNumber::new),
                demands: None,
            });
        }
        for (at, label) in &self.labels {
            Self::label(reader(*at)?, label, &mut vms)?;
        }
        Ok(vms)
    }

    fn label(column: ColumnReader, label: &Label, vms: &mut [Vm]) -> Result<(), ParquetError> {
        if let Label::Count(_, _, set) = label {
            for (vm, count) in vms.iter_mut().zip(optional_values::<Int32Type>(column, usize::MAX)?) {
                if let Some(count) = count {
                    set(vm.demands.get_or_insert_default(), count.cast_unsigned());
                }
            }
            return Ok(());
        }
        for (vm, text) in vms.iter_mut().zip(optional_values::<ByteArrayType>(column, usize::MAX)?) {
            let Some(text) = text else { continue };
            let text = String::from_utf8_lossy(text.data());
            let demands = vm.demands.get_or_insert_default();
            match label {
                Label::Text(_, _, set) => set(demands, &text),
                Label::Extra(name) => demands.extra.push((name.clone(), text.as_ref().into())),
                Label::Count(..) => {}
            }
        }
        Ok(())
    }
}

#[inline]
fn counted(prefix: &CompactString, number: u64) -> CompactString {
    if prefix.is_empty() { number.to_compact_string() } else { format_compact!("{prefix}{number}") }
}

fn required_values<T: DataType>(column: ColumnReader, rows: usize) -> Result<Vec<T::T>, ParquetError> {
    let mut values = Vec::with_capacity(rows);
    get_typed_column_reader::<T>(column).read_records(rows, None, None, &mut values)?;
    if values.len() == rows {
        Ok(values)
    } else {
        Err(ParquetError::General("a column ends early".to_owned()))
    }
}

fn optional_values<T: DataType>(
    column: ColumnReader,
    rows: usize,
) -> Result<Vec<Option<T::T>>, ParquetError> {
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    get_typed_column_reader::<T>(column).read_records(rows, Some(&mut levels), None, &mut values)?;
    let mut values = values.into_iter();
    Ok(levels.iter().map(|&level| if level > 0 { values.next() } else { None }).collect())
}

impl Iterator for VmGroups {
    type Item = Result<Vm, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(vm) = self.group.next() {
                self.read += 1;
                if self.read.is_multiple_of(1024) {
                    self.progress.set(self.read);
                }
                return Some(Ok(vm));
            }
            if self.next_group >= self.file.reader.num_row_groups() {
                self.progress.set(self.read);
                return None;
            }
            match self.read_group() {
                Ok(vms) => self.group = vms.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// A column of [`write_table`].
#[derive(Debug, Clone, PartialEq)]
pub enum Column {
    /// Texts.
    Text(Vec<String>),
    /// Whole numbers.
    Integer(Vec<i64>),
    /// Numbers.
    Number(Vec<f64>),
}

/// Writes a table of results, such as the runs of a simulation, as Parquet. All columns have as
/// many values.
///
/// # Errors
/// The file cannot be written.
pub fn write_table(path: impl AsRef<Path>, columns: &[(&str, Column)]) -> Result<(), WriteError> {
    let path = path.as_ref();
    let failed =
        |error: ParquetError| WriteError::Parquet { path: path.to_owned(), reason: error.to_string() };
    let fields = columns.iter().map(|(name, column)| match column {
        Column::Text(_) => format!("REQUIRED BYTE_ARRAY {name} (UTF8);"),
        Column::Integer(_) => format!("REQUIRED INT64 {name};"),
        Column::Number(_) => format!("REQUIRED DOUBLE {name};"),
    });
    let schema = format!("message table {{ {} }}", fields.collect::<Vec<_>>().join(" "));
    let schema = Arc::new(parse_message_type(&schema).map_err(failed)?);
    let properties = WriterProperties::builder().set_created_by("berth".to_owned()).build();
    let file = File::create(path).map_err(|source| WriteError::Io { path: path.to_owned(), source })?;
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties)).map_err(failed)?;
    let mut group = writer.next_row_group().map_err(failed)?;
    for (_, values) in columns {
        match values {
            Column::Text(texts) => {
                let texts = texts.iter().map(|text| Some(ByteArray::from(text.as_bytes().to_vec())));
                column::<ByteArrayType>(&mut group, texts, false)
            }
            Column::Integer(numbers) => {
                column::<Int64Type>(&mut group, numbers.iter().copied().map(Some), false)
            }
            Column::Number(numbers) => {
                column::<DoubleType>(&mut group, numbers.iter().copied().map(Some), false)
            }
        }
        .map_err(failed)?;
    }
    group.close().map_err(failed)?;
    writer.close().map_err(failed)?;
    Ok(())
}
