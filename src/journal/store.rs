//! The journal on disk: JSON lines, fsynced one by one, chained by hash, with one writer held by a lock; it gives no meaning to events.

use super::{Event, Record, StageName};
use crate::failure::{Code, Failure};
use crate::names::OperationId;
use crate::ports::Clock;
use sha2::Digest as _;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const NOTHING: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// The only writer of one operation's journal.
pub struct Journal {
    id: OperationId,
    clock: Arc<dyn Clock>,
    // Held for as long as the journal is: whoever has it is the worker.
    _lock: File,
    inner: Mutex<Inner>,
}

struct Inner {
    file: File,
    /// Length of the whole lines, bytes.
    length: u64,
    /// A line could not be written whole, and its beginning may still be there.
    torn: bool,
    state: super::State,
    last_n: u64,
    last_hash: String,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Journal({})", self.id)
    }
}

impl Inner {
    /// Writes one line to disk. Of a line that cannot be written whole nothing is left, so that none is ever appended to half a line.
    fn write(&mut self, line: &[u8]) -> std::io::Result<()> {
        if self.torn {
            self.file.set_len(self.length)?;
        }
        self.torn = true;
        if let Err(error) = self.file.write_all(line).and_then(|()| self.file.sync_data()) {
            self.torn = self.file.set_len(self.length).is_err();
            return Err(error);
        }
        self.torn = false;
        self.length += u64::try_from(line.len()).unwrap_or(0);
        Ok(())
    }
}

impl Journal {
    /// Takes the operation's lock and opens its journal, cutting a torn last line.
    /// `OPERATION_RUNNING` where another worker holds the lock; `JOURNAL_DAMAGED` where a line before the last does not parse or chain.
    pub fn open(folder: &Path, id: &OperationId, clock: Arc<dyn Clock>) -> Result<Self, Failure> {
        let lock = lock(folder, id)?;
        let path = folder.join("journal.jsonl");
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(&path).map_err(|error| Failure::file("open the journal", &path, &error))?;
        let mut text = Vec::new();
        file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_end(&mut text)).map_err(|error| Failure::file("read the journal", &path, &error))?;
        let mut records = Vec::new();
        let (good, damage) = parse(&text, &path, &mut records);
        damage?;
        let cut = u64::try_from(text.len().saturating_sub(good)).unwrap_or(0);
        let length = u64::try_from(good).unwrap_or(0);
        if cut > 0 {
            file.set_len(length).map_err(|error| Failure::file("cut the journal", &path, &error))?;
        }
        let state = super::State::of(&records).unwrap_or_else(|| super::State::initial(clock.now()));
        let (last_n, last_hash) = records.last().map_or((0, NOTHING.to_owned()), |last| (last.n, last.hash.clone()));
        let journal = Self { id: id.clone(), clock, _lock: lock, inner: Mutex::new(Inner { file, length, torn: false, state, last_n, last_hash }) };
        if cut > 0 {
            journal.append(None, None, Event::JournalRepaired { bytes_cut: cut })?;
        }
        Ok(journal)
    }

    /// Writes one event and returns after it is on disk.
    pub fn append(&self, stage: Option<StageName>, subject: Option<&str>, event: Event) -> Result<Record, Failure> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let mut record = Record {
            v: 1,
            n: inner.last_n + 1,
            at: self.clock.now(),
            op: self.id.clone(),
            event,
            stage,
            subject: subject.map(str::to_owned),
            prev: inner.last_hash.clone(),
            hash: String::new(),
        };
        record.hash = hash(&record)?;
        let mut line = serde_json::to_vec(&record).map_err(|error| Failure::internal("write a journal line").cause(error))?;
        line.push(b'\n');
        inner.write(&line).map_err(|error| Failure::file("write the journal of", Path::new(self.id.as_str()), &error))?;
        inner.last_n = record.n;
        inner.last_hash.clone_from(&record.hash);
        inner.state = inner.state.clone().next(&record);
        Ok(record)
    }

    /// The state after all that was written.
    pub fn state(&self) -> super::State {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).state.clone()
    }

    /// The hash of the last line, to be kept elsewhere as well.
    pub fn last_hash(&self) -> String {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).last_hash.clone()
    }
}

/// How long those are waited for who only look whether there is a worker.
const LOOKERS: Duration = Duration::from_secs(2);

/// Takes the operation's lock, or says that its worker lives.
fn lock(folder: &Path, id: &OperationId) -> Result<File, Failure> {
    use rustix::fs::{FlockOperation, flock};
    let path = folder.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(|error| Failure::file("open the lock", &path, &error))?;
    let began = Instant::now();
    while flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        // Whoever looks shares it for a moment; a worker shares it with nobody.
        let worked = flock(&file, FlockOperation::NonBlockingLockShared).is_err();
        if worked || began.elapsed() > LOOKERS {
            return Err(
                Failure::new(Code::OperationRunning, format!("a worker runs {id} already")).help(format!("operation_status {{\"operation\": \"{id}\"}}"))
            );
        }
        let _ = flock(&file, FlockOperation::Unlock);
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(file)
}

/// True where a worker holds the operation's lock at this moment.
pub(crate) fn held(folder: &Path) -> bool {
    let Ok(file) = OpenOptions::new().write(true).open(folder.join("lock")) else { return false };
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockShared).is_err()
}

/// All whole lines of a journal; a torn last line is ignored. Empty where there is no journal yet.
pub fn read(folder: &Path) -> Result<Vec<Record>, Failure> {
    let mut reader = Reader::new(folder);
    reader.records()?;
    Ok(reader.records)
}

/// Reads a journal that another process writes, each line once.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    /// Length of the text that `records` cover, bytes.
    read: u64,
    /// The file and its last change when it was read to its end.
    stamp: Option<(u64, i64, i64)>,
    records: Vec<Record>,
    /// What `records` add up to.
    state: Option<Arc<super::State>>,
}

/// Readers that are kept between looks and shared by those who look at once, so that each line is read and its hash proven once.
#[derive(Debug, Default)]
pub struct Readers(Mutex<BTreeMap<PathBuf, Arc<Mutex<Reader>>>>);

/// Journals that are kept in memory at once.
const KEPT: usize = 16;

impl Readers {
    /// The reader of this operation's folder.
    pub fn of(&self, folder: &Path) -> Arc<Mutex<Reader>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reader) = kept.get(folder) {
            return Arc::clone(reader);
        }
        if kept.len() >= KEPT {
            kept.pop_first();
        }
        Arc::clone(kept.entry(folder.to_owned()).or_insert_with(|| Arc::new(Mutex::new(Reader::new(folder)))))
    }
}

impl Reader {
    /// A reader of this operation's folder.
    pub fn new(folder: &Path) -> Self {
        Self { path: folder.join("journal.jsonl"), read: 0, stamp: None, records: Vec::new(), state: None }
    }

    /// The operation's state after what the last `records` read; `None` before the first line.
    pub fn state(&self) -> Option<Arc<super::State>> {
        self.state.clone()
    }

    /// What the last `records` read, without looking at the disk again.
    pub fn known(&self) -> &[Record] {
        &self.records
    }

    /// The journal's length now, bytes; 0 where there is none. It changes when something was appended.
    pub fn size(&self) -> u64 {
        std::fs::metadata(&self.path).map(|facts| facts.len()).unwrap_or(0)
    }

    /// All whole lines until now; only what was appended since the last call is read and parsed.
    /// `JOURNAL_DAMAGED` where a line before the last does not parse or chain.
    pub fn records(&mut self) -> Result<&[Record], Failure> {
        let failed = |error: std::io::Error| Failure::file("read the journal", &self.path, &error);
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(&self.records),
            Err(error) => return Err(failed(error)),
        };
        let facts = file.metadata().map_err(failed)?;
        let (size, stamp) = (facts.len(), stamp(&facts));
        if size < self.read || (size == self.read && self.stamp.is_some_and(|known| known != stamp)) {
            // Not the file that was read before, or not as it was.
            (self.read, self.records, self.state) = (0, Vec::new(), None);
        }
        if size > self.read {
            let mut text = Vec::new();
            file.seek(SeekFrom::Start(self.read)).and_then(|_| file.read_to_end(&mut text)).map_err(failed)?;
            let known = self.records.len();
            let (good, damage) = parse(&text, &self.path, &mut self.records);
            self.read += u64::try_from(good).unwrap_or(0);
            let new = self.records.get(known..).unwrap_or_default();
            let state = self.state.take().map(Arc::unwrap_or_clone).or_else(|| new.first().map(|first| super::State::initial(first.at)));
            self.state = state.map(|state| Arc::new(new.iter().fold(state, super::State::next)));
            damage?;
        }
        self.stamp = Some(stamp);
        Ok(&self.records)
    }
}

/// Inode and the time of the last change of content or mode, as the file system keeps them.
fn stamp(facts: &std::fs::Metadata) -> (u64, i64, i64) {
    use std::os::unix::fs::MetadataExt as _;
    (facts.ino(), facts.ctime(), facts.ctime_nsec())
}

/// Adds the records of a text that follows on those there are, up to the first damaged line; the length of the text they cover.
fn parse(text: &[u8], path: &Path, records: &mut Vec<Record>) -> (usize, Result<(), Failure>) {
    let mut good = 0;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let why = match serde_json::from_slice::<Record>(line) {
            // Only the last line can be torn by a crash.
            _ if line.last() != Some(&b'\n') => break,
            Ok(record) if follows(&record, records.last()) => {
                records.push(record);
                good += line.len();
                continue;
            }
            Ok(_) => "its hash does not follow from the line before".to_owned(),
            Err(error) => error.to_string(),
        };
        let damaged = Failure::new(Code::JournalDamaged, format!("line {} of {} is damaged", records.len() + 1, path.display()))
            .cause(why)
            .help("the operation cannot be resumed; cluster_health shows what is in the cluster, deployment_report kind=audit shows what is known");
        return (good, Err(damaged));
    }
    (good, Ok(()))
}

fn follows(record: &Record, last: Option<&Record>) -> bool {
    record.prev == last.map_or(NOTHING, |last| last.hash.as_str()) && hash(record).is_ok_and(|hash| hash == record.hash)
}

fn hash(record: &Record) -> Result<String, Failure> {
    let mut bare = record.clone();
    bare.hash = String::new();
    let line = serde_json::to_vec(&bare).map_err(|error| Failure::internal("hash a journal line").cause(error))?;
    Ok(format!("sha256:{}", hex::encode(sha2::Sha256::digest(&line))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{EffectState, State, Undo};
    use crate::reply::OperationState;

    use std::sync::atomic::{AtomicBool, Ordering};

    struct Fixed;
    impl Clock for Fixed {
        fn now(&self) -> crate::evidence::Time {
            jiff::Timestamp::UNIX_EPOCH
        }
    }

    fn id() -> OperationId {
        OperationId::parse("op-20260102-030405-a1b2").unwrap()
    }

    fn open(folder: &Path) -> Result<Journal, Failure> {
        Journal::open(folder, &id(), Arc::new(Fixed))
    }

    fn begin(folder: &Path) -> Journal {
        let journal = open(folder).unwrap();
        journal.append(None, None, Event::OperationStarted { tool: "deploy".into(), pid: 1, plan: None, approved_by: None }).unwrap();
        let undo = Undo::Keep { why: "test".into() };
        journal
            .append(
                Some(StageName::Deploy),
                Some("release/a"),
                Event::EffectIntended { key: "helm/a".into(), effect: "install a".into(), undo, before: serde_json::Value::Null },
            )
            .unwrap();
        journal
    }

    #[test]
    fn what_was_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let journal = begin(folder.path());
        let records = read(folder.path()).unwrap();
        assert_eq!(records.len(), 2);
        assert_eq!(State::of(&records).unwrap(), journal.state());
    }

    #[test]
    fn a_torn_last_line_is_ignored_by_readers_and_cut_by_the_next_writer() {
        let folder = tempfile::tempdir().unwrap();
        drop(begin(folder.path()));
        let path = folder.path().join("journal.jsonl");
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"v\":1,\"n\":3,\"at").unwrap();
        assert_eq!(read(folder.path()).unwrap().len(), 2);
        drop(open(folder.path()).unwrap());
        let records = read(folder.path()).unwrap();
        assert!(matches!(records.last().unwrap().event, Event::JournalRepaired { bytes_cut: 16 }), "{:?}", records.last());
    }

    #[test]
    fn a_kept_reader_knows_the_state_and_names_a_damaged_line_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let readers = Readers::default();
        let journal = begin(folder.path());
        let reader = readers.of(folder.path());
        let mut reader = reader.lock().unwrap();
        assert!(reader.state().is_none());
        reader.records().unwrap();
        journal.append(None, None, Event::UndoDone { key: "helm/a".into(), note: "x".into() }).unwrap();
        reader.records().unwrap();
        assert_eq!(*reader.state().unwrap(), journal.state());
        let mut file = OpenOptions::new().append(true).open(folder.path().join("journal.jsonl")).unwrap();
        file.write_all(b"{}\n{}\n").unwrap();
        for _ in 0..2 {
            assert!(reader.records().unwrap_err().message.starts_with("line 4 of "), "{:?}", reader.records());
            assert_eq!(reader.known().len(), 3);
        }
        drop(reader);
        assert_eq!(readers.of(folder.path()).lock().unwrap().known().len(), 3);
    }

    #[test]
    fn a_reader_takes_each_line_once_and_waits_for_torn_ones() {
        let folder = tempfile::tempdir().unwrap();
        let mut reader = Reader::new(folder.path());
        assert!(reader.records().unwrap().is_empty());
        let journal = begin(folder.path());
        assert_eq!(reader.records().unwrap().len(), 2);
        journal.append(None, None, Event::UndoDone { key: "helm/a".into(), note: "x".into() }).unwrap();
        // A line that was read is not read again: its damage afterwards shows to a new reader only.
        let path = folder.path().join("journal.jsonl");
        let whole = std::fs::read(&path).unwrap();
        let damaged = String::from_utf8(whole.clone()).unwrap().replacen("\"tool\":\"deploy\"", "\"tool\":\"deploi\"", 1);
        std::fs::write(&path, &damaged).unwrap();
        assert_eq!(reader.records().unwrap().len(), 3);
        assert_eq!(read(folder.path()).unwrap_err().code, Code::JournalDamaged);
        // The last line comes in two parts.
        let (first, second) = whole.split_at(whole.len() - 20);
        std::fs::write(&path, first).unwrap();
        let mut reader = Reader::new(folder.path());
        assert_eq!(reader.records().unwrap().len(), 2);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(second).unwrap();
        assert_eq!(reader.records().unwrap().len(), 3);
    }

    #[test]
    fn what_could_not_be_written_whole_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let journal = begin(folder.path());
        let mut keep = std::mem::replace(&mut journal.inner.lock().unwrap().file, OpenOptions::new().write(true).open("/dev/full").unwrap());
        let note = || journal.append(None, None, Event::Paused { why: "x".into() });
        assert_eq!(note().unwrap_err().code, Code::DiskFull);
        assert_eq!(journal.state().events, 2, "what is not on disk did not happen");
        // The disk took the beginning of the line; then there is room again.
        keep.write_all(b"{\"v\":1,\"n\":3,\"at").unwrap();
        journal.inner.lock().unwrap().file = keep;
        assert_eq!(note().unwrap().n, 3);
        assert_eq!(read(folder.path()).unwrap().len(), 3);
    }

    #[test]
    fn a_changed_line_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        drop(begin(folder.path()));
        let path = folder.path().join("journal.jsonl");
        let text = std::fs::read_to_string(&path).unwrap().replace("\"tool\":\"deploy\"", "\"tool\":\"rollback\"");
        std::fs::write(&path, text).unwrap();
        assert_eq!(read(folder.path()).unwrap_err().code, Code::JournalDamaged);
    }

    #[test]
    fn there_is_one_writer() {
        let folder = tempfile::tempdir().unwrap();
        let journal = begin(folder.path());
        assert!(held(folder.path()));
        assert_eq!(open(folder.path()).unwrap_err().code, Code::OperationRunning);
        drop(journal);
        assert!(!held(folder.path()));
        assert!(open(folder.path()).is_ok());
    }

    #[test]
    fn who_only_looks_keeps_no_worker_out() {
        let folder = tempfile::tempdir().unwrap();
        let looked = AtomicBool::new(true);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while looked.load(Ordering::Relaxed) {
                        held(folder.path());
                    }
                });
            }
            let refused: Vec<_> = (0..3_000).filter_map(|_| open(folder.path()).err()).collect();
            looked.store(false, Ordering::Relaxed);
            assert!(refused.is_empty(), "{} of 3000: {:?}", refused.len(), refused.first());
        });
    }

    #[test]
    fn an_effect_without_an_end_stands_until_it_is_undone() {
        let folder = tempfile::tempdir().unwrap();
        let journal = begin(folder.path());
        assert_eq!(journal.state().standing().map(|effect| effect.state.clone()).collect::<Vec<_>>(), vec![EffectState::Intended]);
        journal.append(None, None, Event::UndoDone { key: "helm/a".into(), note: "a uninstalled".into() }).unwrap();
        assert_eq!(journal.state().standing().count(), 0);
        journal.append(None, None, Event::OperationEnded { state: OperationState::Cancelled, summary: "x".into(), failure: None }).unwrap();
        assert!(journal.state().operation.settled());
    }

    #[test]
    fn a_kept_reader_reads_on_and_sees_a_line_that_was_changed() {
        let folder = tempfile::tempdir().unwrap();
        let journal = open(folder.path()).unwrap();
        let note = |why: &str| drop(journal.append(None, None, Event::Paused { why: why.to_owned() }).unwrap());
        let readers = Readers::default();
        let count = || {
            let reader = readers.of(folder.path());
            let count = reader.lock().unwrap().records().map(<[Record]>::len);
            count.map_err(|failure| failure.code)
        };
        assert_eq!(count(), Ok(0));
        note("one");
        note("two");
        assert_eq!(count(), Ok(2));
        note("three");
        assert_eq!(count(), Ok(3));
        assert_eq!(readers.0.lock().unwrap().len(), 1);
        let path = folder.path().join("journal.jsonl");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replacen("one", "eno", 1)).unwrap();
        assert_eq!(count(), Err(Code::JournalDamaged), "of the same length, and not the same");
    }

    #[test]
    fn only_so_many_readers_are_kept() {
        let readers = Readers::default();
        for number in 0..KEPT + 5 {
            readers.of(Path::new(&format!("/nowhere/{number}")));
        }
        assert_eq!(readers.0.lock().unwrap().len(), KEPT);
    }
}
