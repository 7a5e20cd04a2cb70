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

use compact_str::{CompactString, ToCompactString};
use parquet::basic::{Compression, Encoding};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_typed_column_reader};
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

/// VMs that are read at a time: their columns stay in a cache.
const BATCH: usize = 1 << 12;

/// The VMs of a trace file.
pub(crate) struct VmGroups {
    file: ParquetFile,
    columns: BTreeMap<String, usize>,
    labels: Vec<(usize, Label)>,
    counter: Option<Counter>,
    next_group: usize,
    group: Option<Group>,
    rows: Rows,
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
        let counter = file.value(ID_PREFIX).zip(first).map(|(prefix, first)| Counter::new(&prefix, first));
        let rows = file.reader.metadata().file_metadata().num_rows();
        let progress = ReadProgress::new(rows.unsigned_abs(), Unit::Vms);
        let (group, rows) = (None, Rows::default());
        Ok(Self { file, columns, labels, counter, next_group: 0, group, rows, read: 0, progress })
    }

    pub(crate) fn progress(&self) -> ReadProgress {
        self.progress.clone()
    }

    /// Reads the next rows; returns whether there are any.
    fn read_rows(&mut self) -> Result<bool, TraceError> {
        while self.group.as_ref().is_none_or(|group| group.left == 0) {
            if self.next_group >= self.file.reader.num_row_groups() {
                return Ok(false);
            }
            let group = self.open(self.next_group).map_err(|error| damaged(&self.file.path, &error))?;
            (self.group, self.next_group) = (Some(group), self.next_group + 1);
        }
        let Some(group) = &mut self.group else { return Ok(false) };
        group.read(&mut self.rows).map_err(|error| damaged(&self.file.path, &error))?;
        Ok(true)
    }

    fn open(&self, group: usize) -> Result<Group, ParquetError> {
        let group = self.file.reader.get_row_group(group)?;
        let left = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
        let place = |name: &str| {
            let place = self.columns.get(name).copied();
            place.ok_or_else(|| ParquetError::General(format!("there is no column {name}")))
        };
        let reader = |at: usize| group.get_column_reader(at);
        let required = |name: &str| place(name).and_then(reader);
        let optional = |name: &str| {
            let at = place(name)?;
            let statistics = group.metadata().column(at).statistics();
            let nulls = statistics.and_then(|statistics| statistics.null_count_opt());
            if nulls == Some(left as u64) { Ok(None) } else { reader(at).map(Some) }
        };
        let ids = if self.counter.is_some() { None } else { Some(required("vm_id")?) };
        let labels = self.labels.iter().map(|(at, label)| Ok((reader(*at)?, label.clone())));
        Ok(Group {
            left,
            ids: ids.map(get_typed_column_reader),
            arrivals: get_typed_column_reader(required("arrival_us")?),
            departures: optional("departure_us")?.map(get_typed_column_reader),
            amounts: [required("vcpus")?, required("memory_mb")?, required("disk_gb")?]
                .map(get_typed_column_reader),
            flavors: get_typed_column_reader(required("flavor")?),
            batches: optional("batch")?.map(get_typed_column_reader),
            labels: labels.collect::<Result<_, ParquetError>>()?,
        })
    }
}

impl Iterator for VmGroups {
    type Item = Result<Vm, TraceError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(vm) = self.rows.next(&mut self.counter) {
                return Some(Ok(vm));
            }
            self.read += self.rows.arrivals.len() as u64;
            self.progress.set(self.read);
            match self.read_rows() {
                Ok(true) => {}
                Ok(false) => {
                    self.rows = Rows::default();
                    return None;
                }
                Err(error) => {
                    self.rows = Rows::default();
                    return Some(Err(error));
                }
            }
        }
    }
}

/// A row group that is being read.
struct Group {
    /// Rows that were not read yet.
    left: usize,
    /// None where identifiers are counted.
    ids: Option<ColumnReaderImpl<ByteArrayType>>,
    arrivals: ColumnReaderImpl<Int64Type>,
    /// None if no row has one.
    departures: Option<ColumnReaderImpl<Int64Type>>,
    amounts: [ColumnReaderImpl<Int32Type>; 3],
    flavors: ColumnReaderImpl<ByteArrayType>,
    batches: Option<ColumnReaderImpl<Int64Type>>,
    labels: Vec<(ColumnReader, Label)>,
}

impl Group {
    /// Replaces the rows by the next ones.
    fn read(&mut self, rows: &mut Rows) -> Result<(), ParquetError> {
        let len = self.left.min(BATCH);
        self.left -= len;
        rows.next = 0;
        if let Some(ids) = &mut self.ids {
            read_required(ids, len, &mut rows.ids)?;
        }
        read_required(&mut self.arrivals, len, &mut rows.arrivals)?;
        rows.departures.read(self.departures.as_mut(), len)?;
        for (column, amounts) in self.amounts.iter_mut().zip(&mut rows.amounts) {
            read_required(column, len, amounts)?;
        }
        read_required(&mut self.flavors, len, &mut rows.flavors.rows)?;
        rows.batches.read(self.batches.as_mut(), len)?;
        rows.demands.clear();
        for (column, label) in &mut self.labels {
            rows.demands.resize(len, None);
            read_label(column, label, &mut rows.demands)?;
        }
        Ok(())
    }
}

fn read_label(
    column: &mut ColumnReader,
    label: &Label,
    demands: &mut [Option<Box<Demands>>],
) -> Result<(), ParquetError> {
    match (column, label) {
        (ColumnReader::Int32ColumnReader(column), Label::Count(_, _, set)) => {
            let mut counts = Present::default();
            counts.read(Some(column), demands.len())?;
            for (row, demands) in demands.iter_mut().enumerate() {
                if let Some(count) = counts.take(row) {
                    set(demands.get_or_insert_default(), count.cast_unsigned());
                }
            }
        }
        (ColumnReader::ByteArrayColumnReader(column), label) => {
            let mut texts = Present::default();
            texts.read(Some(column), demands.len())?;
            for (row, demands) in demands.iter_mut().enumerate() {
                let Some(bytes) = texts.take(row) else { continue };
                let (demands, value) = (demands.get_or_insert_default(), text(bytes.data()));
                match label {
                    Label::Text(_, _, set) => set(demands, &value),
                    Label::Extra(name) => demands.extra.push((name.clone(), value)),
                    Label::Count(..) => {}
                }
            }
        }
        (_, label) => {
            let reason = format!("the column {} has another type", label.column());
            return Err(ParquetError::General(reason));
        }
    }
    Ok(())
}

/// The columns of some rows, from which one VM after the other is made.
#[derive(Default)]
struct Rows {
    next: usize,
    ids: Vec<ByteArray>,
    arrivals: Vec<i64>,
    departures: Present<i64>,
    /// vCPUs, memory, disk.
    amounts: [Vec<i32>; 3],
    flavors: Flavors,
    batches: Present<i64>,
    /// Empty if no VM of the trace has any.
    demands: Vec<Option<Box<Demands>>>,
}

impl Rows {
    #[inline]
    fn next(&mut self, counter: &mut Option<Counter>) -> Option<Vm> {
        let row = self.next;
        let arrival = *self.arrivals.get(row)?;
        self.next += 1;
        let [vcpus, memory_mb, disk_gb] = self.amounts.each_ref().map(|column| column[row].cast_unsigned());
        Some(Vm {
            id: match counter {
                Some(counter) => counter.next(),
                None => text(self.ids[row].data()),
            },
            arrival: Micros(arrival.cast_unsigned()),
            departure: self.departures.take(row).map(|at| Micros(at.cast_unsigned())),
            resources: Resources { vcpus, memory_mb, disk_gb },
            flavor: self.flavors.get(row),
            batch: self.batches.take(row).map(i64::cast_unsigned).and_then(BatchNumber::new),
            demands: self.demands.get_mut(row).and_then(Option::take),
        })
    }
}

/// A text, in which other bytes than those of UTF-8 are replaced.
#[inline]
fn text(bytes: &[u8]) -> CompactString {
    // `from_utf8_lossy` alone takes several times as long.
    CompactString::from_utf8(bytes).unwrap_or_else(|_| CompactString::from_utf8_lossy(bytes))
}

/// The values of an optional column, in order of their rows.
struct Present<T> {
    /// 1 for a row with a value. Empty if no row has one.
    levels: Vec<i16>,
    values: Vec<T>,
    /// How many were taken.
    taken: usize,
}

impl<T> Default for Present<T> {
    fn default() -> Self {
        Self { levels: Vec::new(), values: Vec::new(), taken: 0 }
    }
}

impl<T: Clone> Present<T> {
    fn read<D: DataType<T = T>>(
        &mut self,
        column: Option<&mut ColumnReaderImpl<D>>,
        rows: usize,
    ) -> Result<(), ParquetError> {
        self.levels.clear();
        self.values.clear();
        self.taken = 0;
        if let Some(column) = column {
            column.read_records(rows, Some(&mut self.levels), None, &mut self.values)?;
        }
        Ok(())
    }

    /// The value of the row. Rows are asked for one after the other.
    #[inline]
    fn take(&mut self, row: usize) -> Option<T> {
        self.levels.get(row).filter(|level| **level > 0)?;
        let value = self.values.get(self.taken).cloned();
        self.taken += 1;
        value
    }
}

/// Identifiers of a prefix and a counter.
struct Counter {
    /// The next one.
    text: Vec<u8>,
    /// Where the number begins.
    prefix: usize,
}

impl Counter {
    fn new(prefix: &str, first: u64) -> Self {
        Self { text: format!("{prefix}{first}").into_bytes(), prefix: prefix.len() }
    }

    #[inline]
    fn next(&mut self) -> CompactString {
        let id = text(&self.text);
        for digit in self.text[self.prefix..].iter_mut().rev() {
            if *digit < b'9' {
                *digit += 1;
                return id;
            }
            *digit = b'0';
        }
        self.text.insert(self.prefix, b'1');
        id
    }
}

/// The flavors of the rows: most are copies of a text that was made before.
struct Flavors {
    rows: Vec<ByteArray>,
    /// By the address of their bytes, which equal flavors share in the dictionary of the file.
    known: [CompactString; Self::KNOWN],
}

impl Default for Flavors {
    fn default() -> Self {
        Self { rows: Vec::new(), known: [const { CompactString::const_new("") }; Self::KNOWN] }
    }
}

impl Flavors {
    const KNOWN: usize = 64;

    #[inline]
    fn get(&mut self, row: usize) -> CompactString {
        let bytes = self.rows[row].data();
        let address = bytes.as_ptr().addr();
        let known = &mut self.known[(address ^ address >> 6) % Self::KNOWN];
        if bytes != known.as_bytes() {
            *known = text(bytes);
        }
        known.clone()
    }
}

/// Replaces the values by the next ones of a column in which every row has one.
fn read_required<T: DataType>(
    column: &mut ColumnReaderImpl<T>,
    rows: usize,
    values: &mut Vec<T::T>,
) -> Result<(), ParquetError> {
    values.clear();
    column.read_records(rows, None, None, values)?;
    if values.len() == rows { Ok(()) } else { Err(ParquetError::General("a column ends early".to_owned())) }
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
