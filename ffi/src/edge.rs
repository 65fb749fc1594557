//! The edge towards C: where pointers, sizes, texts and panics are dealt with, once for all calls.
//!
//! In: what a host passes. Out: values of our own, or a refusal with its words. Nothing that a host may free is looked at after the call.

use std::any::Any;
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_void};
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::{mem, ptr, slice};

use penstock_core::close::{Cause, Phase, Side};

use crate::status::penstock_status;

/// Why a call does not do what it was asked for.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: penstock_status,
    words: Cow<'static, str>,
}

impl Refusal {
    /// Refused, with particulars for whoever reads them.
    pub(crate) fn new(status: penstock_status, words: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal { status, words: words.into() }
    }
}

impl From<penstock_status> for Refusal {
    fn from(status: penstock_status) -> Refusal {
        Refusal::new(status, status.sentence())
    }
}

pub(crate) type Answer<T = ()> = Result<T, Refusal>;

thread_local! {
    static LAST_ERROR: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Does what a call is about. No panic leaves it, and what is refused can be asked about afterwards.
pub(crate) fn guard(call: impl FnOnce() -> Answer) -> penstock_status {
    let Err(Refusal { status, words }) = catch(call).unwrap_or_else(Err) else {
        return penstock_status::PENSTOCK_OK;
    };
    // A thread that is about to end has forgotten where.
    let _ = LAST_ERROR.try_with(|last| last.replace(words.into_owned()));
    status
}

/// The same for what can't be told to anybody: a panic is taken for `T::default()`.
pub(crate) fn contain<T: Default>(call: impl FnOnce() -> T) -> T {
    catch(call).unwrap_or_default()
}

fn catch<T>(call: impl FnOnce() -> T) -> Result<T, Refusal> {
    // What a call leaves half done is behind locks whose poison is looked over, and is only ever replaced whole.
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| {
        let words = format!("a bug in penstock: {}; please report it", words_of(&*panic));
        Refusal::new(penstock_status::PENSTOCK_PANIC, words)
    })
}

fn words_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no words")
}

/// What was said of this thread's last refusal.
pub(crate) fn last_error() -> String {
    LAST_ERROR.try_with(|last| last.borrow().clone()).unwrap_or_default()
}

/// Structures that cross the edge: plain numbers, pointers and arrays of them, with their size in the first field.
///
/// # Safety
/// All zero is a value of it, its first field is `size: u32`, and it has no padding that C would not have.
pub(crate) unsafe trait Structure: Copy {}

/// Of any structure that there will ever be. What a host forgot to set up is rarely one of these.
const SIZES: RangeInclusive<usize> = 8..=4096;

/// Bytes of `T`'s size, as C counts them.
fn size_of<T>() -> usize {
    mem::size_of::<T>()
}

fn sized<T: Structure>(pointer: *const T, name: &str) -> Answer<usize> {
    if pointer.is_null() {
        let words = format!("`{name}` is NULL");
        return Err(Refusal::new(penstock_status::PENSTOCK_NULL, words));
    }
    // SAFETY: the caller of each exported function promises a structure that begins with its size; the host keeps it until the call ends.
    let size = unsafe { pointer.cast::<u32>().read_unaligned() } as usize;
    if !SIZES.contains(&size) {
        let words = format!(
            "`{name}->size` is {size}: set the structure up by PENSTOCK_INIT() before its other fields"
        );
        return Err(Refusal::new(penstock_status::PENSTOCK_INVALID, words));
    }
    Ok(size)
}

/// That a field for later versions is 0.
pub(crate) fn ensure_reserved(field: u32, name: &str) -> Answer {
    match field {
        0 => Ok(()),
        other => Err(Refusal::new(
            penstock_status::PENSTOCK_INVALID,
            format!("`{name}->reserved` is {other}: expected 0"),
        )),
    }
}

/// Copies a structure in: fields that an older header does not have are 0; those that a newer one has beside ours must be.
///
/// # Safety
/// `pointer` is NULL or points to as many bytes as its first field says.
pub(crate) unsafe fn read<T: Structure>(pointer: *const T, name: &str) -> Answer<T> {
    let size = sized(pointer, name)?;
    // SAFETY: the host has `size` bytes there until the call ends.
    let bytes = unsafe { slice::from_raw_parts(pointer.cast::<u8>(), size) };
    if bytes.iter().skip(size_of::<T>()).any(|byte| *byte != 0) {
        let words = format!("`{name}` uses fields that this version of the library does not know");
        return Err(Refusal::new(penstock_status::PENSTOCK_INVALID, words));
    }
    // SAFETY: `Structure` says that zero is a value; as many bytes are copied over it as both sides have, of plain numbers and pointers.
    unsafe {
        let mut value: T = mem::zeroed();
        ptr::copy_nonoverlapping(
            bytes.as_ptr(),
            (&raw mut value).cast::<u8>(),
            size.min(size_of::<T>()),
        );
        Ok(value)
    }
}

/// The same of one that may be left out.
///
/// # Safety
/// As [`read`].
pub(crate) unsafe fn read_or_none<T: Structure>(
    pointer: *const T,
    name: &str,
) -> Answer<Option<T>> {
    // SAFETY: the caller's promise.
    (!pointer.is_null()).then(|| unsafe { read(pointer, name) }).transpose()
}

/// That a structure can be filled.
pub(crate) fn ensure_room<T: Structure>(pointer: *const T, name: &str) -> Answer {
    sized(pointer, name).map(|_| ())
}

/// Copies a structure out, as far as the host's goes, whose size stays what it was.
///
/// # Safety
/// `pointer` is NULL or points to as many bytes as its first field says.
pub(crate) unsafe fn write<T: Structure>(pointer: *mut T, name: &str, value: &T) -> Answer {
    let size = sized(pointer, name)?.min(size_of::<T>());
    let skipped = mem::size_of::<u32>();
    // SAFETY: the host has `size` bytes there until the call ends, and `value` is no shorter.
    unsafe {
        let from = ptr::from_ref(value).cast::<u8>().add(skipped);
        ptr::copy_nonoverlapping(from, pointer.cast::<u8>().add(skipped), size - skipped);
    }
    Ok(())
}

/// Writes one value.
///
/// # Safety
/// `pointer` is NULL or points to a `T`.
pub(crate) unsafe fn put<T>(pointer: *mut T, name: &str, value: T) -> Answer {
    if pointer.is_null() {
        return Err(Refusal::new(penstock_status::PENSTOCK_NULL, format!("`{name}` is NULL")));
    }
    // SAFETY: the host has room for it there until the call ends.
    unsafe { pointer.write(value) };
    Ok(())
}

/// A text of the host's; none: NULL.
///
/// # Safety
/// `pointer` is NULL or points to bytes with a NUL behind them.
pub(crate) unsafe fn text(pointer: *const c_char, name: &str) -> Answer<Option<String>> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: the host has a text there until the call ends.
    let text = unsafe { CStr::from_ptr(pointer) };
    match text.to_str() {
        Ok(text) => Ok(Some(text.to_owned())),
        Err(_) => {
            Err(Refusal::new(penstock_status::PENSTOCK_INVALID, format!("`{name}` is no UTF-8")))
        }
    }
}

/// A text that must be there.
///
/// # Safety
/// As [`text`].
pub(crate) unsafe fn needed_text(pointer: *const c_char, name: &str) -> Answer<String> {
    // SAFETY: the caller's promise.
    let text = unsafe { text(pointer, name) }?;
    let missing = || Refusal::new(penstock_status::PENSTOCK_NULL, format!("`{name}` is NULL"));
    text.ok_or_else(missing)
}

/// Bytes of the host's, `most` of them at most.
///
/// # Safety
/// `pointer` is NULL or points to `length` bytes.
pub(crate) unsafe fn bytes(
    pointer: *const c_void,
    length: usize,
    most: usize,
    name: &str,
) -> Answer<Vec<u8>> {
    if length > most {
        let words = format!("`{name}_length` is {length}: expected {most} at most");
        return Err(Refusal::new(penstock_status::PENSTOCK_INVALID, words));
    }
    if length == 0 {
        return Ok(Vec::new());
    }
    if pointer.is_null() {
        let words = format!("`{name}` is NULL, and `{name}_length` is {length}");
        return Err(Refusal::new(penstock_status::PENSTOCK_NULL, words));
    }
    // SAFETY: the host has so many bytes there until the call ends.
    Ok(unsafe { slice::from_raw_parts(pointer.cast::<u8>(), length) }.to_vec())
}

/// Writes a text with its NUL into a buffer of the host's, cut if need be; how many bytes the whole would take.
///
/// # Safety
/// `buffer` is NULL or has room for `length` bytes.
pub(crate) unsafe fn put_text(text: &str, buffer: *mut c_char, length: usize) -> Answer<usize> {
    let whole = text.len() + 1;
    if buffer.is_null() && length > 0 {
        return Err(Refusal::new(penstock_status::PENSTOCK_NULL, "`buffer` is NULL"));
    }
    if length > 0 {
        let fits = cut(text, length - 1);
        // SAFETY: the host has room for `length` bytes there until the call ends; `fits` and its NUL are no more.
        unsafe {
            ptr::copy_nonoverlapping(fits.as_ptr(), buffer.cast::<u8>(), fits.len());
            buffer.add(fits.len()).write(0);
        }
    }
    Ok(whole)
}

/// A text for an array within a structure.
pub(crate) fn array<const N: usize>(text: &str) -> [c_char; N] {
    let mut array = [0; N];
    for (place, byte) in array.iter_mut().zip(cut(text, N - 1).bytes()) {
        *place = byte as c_char;
    }
    array
}

/// As much of a text as fits into so many bytes, up to its first NUL.
fn cut(text: &str, most: usize) -> &str {
    let text = text.split('\0').next().unwrap_or_default();
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// A word of ours as a text that lives for ever.
pub(crate) fn lasting(word: &'static str) -> *const c_char {
    // All at once, so that later nobody waits for anybody, in a forked child neither.
    static WORDS: OnceLock<BTreeMap<&str, CString>> = OnceLock::new();
    let of = |word: &'static str| (word, CString::new(word).unwrap_or_default());
    let text = contain(|| {
        let words = WORDS.get_or_init(|| words().chain([UNKNOWN]).map(of).collect());
        words.get(word).map(|text| text.as_ptr())
    });
    text.unwrap_or(c"".as_ptr())
}

/// What is said of numbers that stand for nothing.
pub(crate) const UNKNOWN: &str = "unknown";

/// Every word that is ever asked for.
fn words() -> impl Iterator<Item = &'static str> {
    let statuses = penstock_status::ALL.into_iter().map(penstock_status::sentence);
    let sides = Side::ALL.iter().map(|side| side.label());
    let phases = Phase::ALL.iter().map(|phase| phase.label());
    let causes = Cause::ALL.iter().map(|cause| cause.label());
    statuses.chain(sides).chain(phases).chain(causes)
}
