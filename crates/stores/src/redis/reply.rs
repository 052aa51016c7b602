//! The expected shapes of the server's replies. A reply of another shape is an error, not a panic.

use redis::Value;

use crate::error::StoreError;

/// The reply has another shape than the command promises.
pub(crate) fn unexpected() -> StoreError {
    StoreError::Other {
        code: "unexpected answer".to_owned(),
    }
}

pub(crate) fn bytes(value: Value) -> Result<Option<Vec<u8>>, StoreError> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => Ok(Some(bytes)),
        Value::SimpleString(text) => Ok(Some(text.into_bytes())),
        Value::Okay => Ok(Some(b"OK".to_vec())),
        Value::VerbatimString { text, .. } => Ok(Some(text.into_bytes())),
        _ => Err(unexpected()),
    }
}

pub(crate) fn text(value: Value) -> Result<String, StoreError> {
    let bytes = bytes(value)?.ok_or_else(unexpected)?;
    String::from_utf8(bytes).map_err(|_| unexpected())
}

pub(crate) fn number(value: &Value) -> Result<i64, StoreError> {
    match value {
        Value::Int(number) => Ok(*number),
        _ => Err(unexpected()),
    }
}

pub(crate) fn array(value: Value) -> Result<Vec<Value>, StoreError> {
    match value {
        Value::Array(items) => Ok(items),
        _ => Err(unexpected()),
    }
}

/// The reply to `TIME`, in milliseconds.
pub(crate) fn time_ms(value: Value) -> Result<u64, StoreError> {
    let [seconds, micros] = <[Value; 2]>::try_from(array(value)?).map_err(|_| unexpected())?;
    let parsed = |value| text(value)?.parse::<u64>().map_err(|_| unexpected());
    let (seconds, micros) = (parsed(seconds)?, parsed(micros)?);
    Ok(seconds.saturating_mul(1000).saturating_add(micros / 1000))
}

/// A reply to `SCAN` and its variants: the next cursor and the items.
pub(crate) fn page(value: Value) -> Result<(String, Vec<Value>), StoreError> {
    let [cursor, items] = <[Value; 2]>::try_from(array(value)?).map_err(|_| unexpected())?;
    Ok((text(cursor)?, array(items)?))
}

/// The lines `name:value` of `INFO`.
pub(crate) fn info(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(':'))
}
