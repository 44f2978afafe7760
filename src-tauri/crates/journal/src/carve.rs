//! Reading a damaged database without SQLite: every page on its own, whatever the tree above it says.
//!
//! After the file format at <https://www.sqlite.org/fileformat2.html> (b-tree pages, record format, the WAL file). A
//! page that is no b-tree page, or a cell that does not parse, is passed over; what a row says is for the caller to
//! check. Of the log, frames of its last generation up to its last commit are looked at.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Size of our pages, where the header does not say.
const PAGE: usize = 4096;
const DATABASE_HEADER: usize = 100;
const LOG_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// Pages of one row; a longer chain is a circle.
const LONGEST_CHAIN: usize = 16 * 1024;

/// Where a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    in_log: bool,
    offset: u64,
}

/// The pages of a database and its log.
pub(crate) struct Pages {
    database: File,
    log: Option<File>,
    size: usize,
    count: u64,
    /// Where the log has a page, the newest last.
    frames: HashMap<u32, Vec<Place>>,
}

/// A row's bytes as they begin in its page.
pub(crate) struct Cell<'a> {
    /// The row's number, in tables that have one.
    pub rowid: Option<i64>,
    size: usize,
    local: &'a [u8],
    overflow: Option<u32>,
}

/// A value of a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Int(i64),
    Text(String),
    Blob(Vec<u8>),
}

impl Pages {
    pub fn open(database: &Path, log: &Path) -> io::Result<Self> {
        let mut database = File::open(database)?;
        let mut header = [0; DATABASE_HEADER];
        let read = read_at(&mut database, 0, &mut header)?;
        let said = usize::from(u16::from_be_bytes([header[16], header[17]]));
        let size = if read == DATABASE_HEADER && said.is_power_of_two() && said >= 512 { said } else { PAGE };
        let count = database.metadata()?.len().div_ceil(size as u64);
        let mut log = match File::open(log) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            opened => Some(opened?),
        };
        let frames = log.as_mut().map(|log| frames(log, size)).transpose()?.unwrap_or_default();
        Ok(Self { database, log, size, count, frames })
    }

    /// Every page's place; the log's after the database's.
    pub fn places(&self) -> Vec<Place> {
        let of_database = (0..self.count).map(|page| Place { in_log: false, offset: page * self.size as u64 });
        let mut of_log: Vec<Place> = self.frames.values().flatten().copied().collect();
        of_log.sort_unstable();
        of_database.chain(of_log).collect()
    }

    /// The bytes of a page; what a file that was cut off lacks is zero.
    pub fn read(&mut self, place: Place) -> io::Result<Vec<u8>> {
        let mut page = vec![0; self.size];
        let file = match &mut self.log {
            Some(log) if place.in_log => log,
            _ => &mut self.database,
        };
        read_at(file, place.offset, &mut page)?;
        Ok(page)
    }

    /// Whether a page is the first of the database, which begins with the file's header.
    pub fn is_first(&self, place: Place) -> bool {
        if place.in_log { self.frames.get(&1).is_some_and(|places| places.contains(&place)) } else { place.offset == 0 }
    }

    /// A row's values. `newest` looks for the rest of a long row in the log first, otherwise only in the database.
    pub fn values(&mut self, cell: &Cell<'_>, newest: bool) -> io::Result<Option<Vec<Value>>> {
        let mut bytes = cell.local.to_vec();
        let mut next = cell.overflow;
        let mut chain = 0;
        while let Some(number) = next.filter(|number| *number != 0 && bytes.len() < cell.size) {
            chain += 1;
            if chain > LONGEST_CHAIN {
                return Ok(None);
            }
            let in_log = self.frames.get(&number).and_then(|places| places.last()).filter(|_| newest);
            let in_database = Place { in_log: false, offset: u64::from(number - 1) * self.size as u64 };
            let page = self.read(in_log.copied().unwrap_or(in_database))?;
            let (link, rest) = page.split_at(4);
            next = Some(u32::from_be_bytes([link[0], link[1], link[2], link[3]]));
            bytes.extend_from_slice(&rest[..rest.len().min(cell.size - bytes.len())]);
        }
        Ok(if bytes.len() == cell.size { record(&bytes) } else { None })
    }
}

fn read_at(file: &mut File, offset: u64, into: &mut [u8]) -> io::Result<usize> {
    file.seek(SeekFrom::Start(offset))?;
    let mut read = 0;
    while let Some(rest) = into.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read(rest)? {
            0 => break,
            more => read += more,
        }
    }
    Ok(read)
}

/// Where the log has which page, up to its last commit.
fn frames(log: &mut File, size: usize) -> io::Result<HashMap<u32, Vec<Place>>> {
    let mut header = [0; LOG_HEADER];
    let mut frames: HashMap<u32, Vec<Place>> = HashMap::new();
    if read_at(log, 0, &mut header)? < LOG_HEADER {
        return Ok(frames);
    }
    let (mut offset, mut uncommitted) = (LOG_HEADER as u64, Vec::new());
    let mut frame = [0; FRAME_HEADER];
    while read_at(log, offset, &mut frame)? == FRAME_HEADER {
        // Frames of an earlier generation carry other salt.
        if frame[8..16] != header[16..24] {
            break;
        }
        let number = |at: usize| u32::from_be_bytes([frame[at], frame[at + 1], frame[at + 2], frame[at + 3]]);
        uncommitted.push((number(0), Place { in_log: true, offset: offset + FRAME_HEADER as u64 }));
        if number(4) != 0 {
            for (page, place) in uncommitted.drain(..) {
                frames.entry(page).or_default().push(place);
            }
        }
        offset += (FRAME_HEADER + size) as u64;
    }
    Ok(frames)
}

/// The rows that begin in a page.
pub(crate) fn cells(page: &[u8], is_first: bool) -> Vec<Cell<'_>> {
    let start = if is_first { DATABASE_HEADER } else { 0 };
    let two = |at: usize| page.get(at..at + 2).map(|bytes| usize::from(u16::from_be_bytes([bytes[0], bytes[1]])));
    let (header, is_table) = match page.get(start) {
        Some(0x0d) => (8, true),
        Some(0x0a) => (8, false),
        Some(0x02) => (12, false),
        _ => return Vec::new(),
    };
    let count = two(start + 3).unwrap_or(0).min(page.len() / 4);
    let pointers = (0..count).filter_map(|cell| two(start + header + 2 * cell));
    pointers.filter_map(|at| cell(page, if header == 12 { at + 4 } else { at }, is_table)).collect()
}

fn cell(page: &[u8], mut at: usize, is_table: bool) -> Option<Cell<'_>> {
    let size = usize::try_from(varint(page, &mut at)?).ok()?;
    let rowid = if is_table { Some(varint(page, &mut at)?.cast_signed()) } else { None };
    // How much of a long row stays in its page, see "cell payload overflow pages".
    let usable = page.len();
    let most = if is_table { usable - 35 } else { (usable - 12) * 64 / 255 - 23 };
    let least = (usable - 12) * 32 / 255 - 23;
    let local = match size {
        size if size <= most => size,
        size => Some(least + (size - least) % (usable - 4)).filter(|local| *local <= most).unwrap_or(least),
    };
    let bytes = page.get(at..at + local)?;
    let link =
        page.get(at + local..at + local + 4).map(|link| u32::from_be_bytes([link[0], link[1], link[2], link[3]]));
    Some(Cell { rowid, size, local: bytes, overflow: link.filter(|_| local < size) })
}

impl Cell<'_> {
    /// The types of the row's columns; the caller knows a table by them.
    pub fn columns(&self) -> Vec<u64> {
        types(self.local).map_or_else(Vec::new, |(types, _)| types)
    }
}

fn types(record: &[u8]) -> Option<(Vec<u64>, usize)> {
    let mut at = 0;
    let end = usize::try_from(varint(record, &mut at)?).ok()?;
    let mut types = Vec::new();
    while at < end {
        types.push(varint(record, &mut at)?);
    }
    (at == end).then_some((types, end))
}

fn record(bytes: &[u8]) -> Option<Vec<Value>> {
    let (types, mut at) = types(bytes)?;
    let mut values = Vec::with_capacity(types.len());
    for kind in types {
        let length = match kind {
            0 | 8 | 9 => 0,
            1..=4 => kind,
            5 => 6,
            6 => 8,
            12.. => (kind - 12) / 2,
            _ => return None,
        };
        let end = at.checked_add(usize::try_from(length).ok()?)?;
        let value = bytes.get(at..end)?;
        at = end;
        values.push(match kind {
            0 => Value::Null,
            8 => Value::Int(0),
            9 => Value::Int(1),
            1..=6 => {
                let negative = value.first().is_some_and(|byte| byte & 0x80 != 0);
                Value::Int(
                    value.iter().fold(if negative { -1 } else { 0 }, |number, byte| number << 8 | i64::from(*byte)),
                )
            }
            kind if kind % 2 == 0 => Value::Blob(value.to_vec()),
            _ => Value::Text(String::from_utf8(value.to_vec()).ok()?),
        });
    }
    (at == bytes.len()).then_some(values)
}

/// A number of one to nine bytes, big end first, seven bits each but the ninth.
fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut number = 0_u64;
    for index in 0..9 {
        let byte = u64::from(*bytes.get(*at)?);
        *at += 1;
        if index == 8 {
            return Some(number << 8 | byte);
        }
        number = number << 7 | byte & 0x7f;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}
