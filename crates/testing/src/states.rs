//! Conversation states as a WhatsApp bot stores them in production, with invented persons: the same
//! number always produces the same state. Every e-mail address is at `example.com`, every
//! identifier is marked as invented.

use std::time::Duration;

use crate::client::encode;
use crate::redis_server::RedisServer;

/// 2025-01-01T00:00:00Z in milliseconds: the base of all dates.
const EPOCH_MS: u64 = 1_735_689_600_000;

/// Records written to the server at once.
const BATCH: u64 = 512;

const FIRST_NAMES: [&str; 8] = [
    "Fulana",
    "Mengano",
    "Zutana",
    "Perengano",
    "Ejemplia",
    "Inventado",
    "Ficticia",
    "Simón",
];
const LAST_NAMES: [&str; 8] = [
    "Muñoz",
    "Ibáñez",
    "Peña",
    "Gutiérrez",
    "Núñez",
    "Ávila",
    "Güemes",
    "Córdova",
];
const MAKES: [(&str, &str); 5] = [
    ("Automóviles Ficción", "Brisa"),
    ("Motores Prueba", "Colibrí"),
    ("Carrocería Ejemplo", "Ñandú"),
    ("Vehículos Muestra", "Relámpago"),
    ("Talleres Inventados", "Cigüeña"),
];
const COLORS: [&str; 5] = ["azul añil", "rojo", "marrón", "gris plata", "café"];
const STREETS: [&str; 4] = [
    "Calle Imaginaria",
    "Avenida de la Invención",
    "Callejón del Ejemplo",
    "Cerrada Ficción",
];
const REMARKS: [&str; 6] = [
    "entre Sueño y Quimera",
    "frente al jardín de las jacarandás",
    "junto a la tortillería «La Ilusión»",
    "portón verde, tocar el timbre dos veces",
    "a media cuadra de la estación Ningún Lugar",
    "Colonia Utopía, Ciudad Inexistente",
];

/// The record name of state `i`: `wa:` and a phone number, unique for every `i` below 100,000,000.
#[must_use]
pub fn state_name(i: u64) -> String {
    // Multiplying by a number coprime to 10^8 only changes the order.
    format!("wa:52155{:08}", (i * 48_271 + 12_345) % 100_000_000)
}

/// State `i`: 200 to 1,500 bytes, 800 on average.
#[must_use]
pub fn state_json(i: u64) -> String {
    // Three throws instead of one: most states are of medium size, few are very short or long.
    let throw = |salt| usize::try_from(mix(i, salt) % 401).expect("less than 401");
    state_json_sized(i, 200 + throw(1) + throw(2) + throw(3))
}

/// State `i` with exactly this many bytes.
///
/// # Panics
///
/// If `bytes` is less than 200: the fields that every state has would not fit.
#[must_use]
pub fn state_json_sized(i: u64, bytes: usize) -> String {
    assert!(bytes >= 200, "a state has at least 200 bytes");
    let (status, current) = match bytes {
        ..350 => pick(
            &[
                ("showing_menu", "null"),
                ("awaiting_privacy_consent", "null"),
            ],
            i,
            3,
        ),
        350..700 => pick(
            &[("collecting_data", "\"domicilio\""), ("paused", "null")],
            i,
            4,
        ),
        _ => pick(
            &[("confirming", "null"), ("collecting_data", "\"domicilio\"")],
            i,
            5,
        ),
    };
    let created = EPOCH_MS + mix(i, 6) % 20_000_000_000;
    let updated = created + mix(i, 7) % 3_600_000;
    let mut json = format!("{{\"status\":\"{status}\",\"currentField\":{current},\"data\":{{");
    let end = format!("\"}},\"createdAt\":{created},\"updatedAt\":{updated}}}");
    let address = "\"domicilio\":\"";

    let room = bytes - address.len() - end.len();
    for field in fields(i) {
        if json.len() + field.len() <= room {
            json.push_str(&field);
        }
    }
    json.push_str(address);
    fill_with_address(&mut json, i, bytes - end.len());
    json.push_str(&end);
    json
}

/// Writes the states 0 to `count` into database 0. Each expires at `ttl` from now or up to ten
/// minutes later, so that a lost or swapped expiry is detected.
///
/// # Panics
///
/// If the server refuses one of them.
pub fn load_states(server: &RedisServer, count: u64, ttl: Duration) {
    let ttl_ms = u64::try_from(ttl.as_millis()).expect("a sensible time");
    let mut client = server.client();
    let mut requests = Vec::new();
    for first in (0..count).step_by(usize::try_from(BATCH).expect("small")) {
        let batch = first..count.min(first + BATCH);
        requests.clear();
        for i in batch.clone() {
            let expiry = (ttl_ms + mix(i, 8) % 600_000).to_string();
            let (name, json) = (state_name(i), state_json(i));
            encode(&mut requests, &["SET", &name, &json, "PX", &expiry]);
        }
        for reply in client.exchange(&requests, batch.count()) {
            assert!(
                reply.error().is_none(),
                "the server refused a state: {reply:?}"
            );
        }
    }
}

/// All fields of `data` except the address, each with its comma.
fn fields(i: u64) -> [String; 9] {
    let first = pick(&FIRST_NAMES, i, 10);
    let (last, second) = (pick(&LAST_NAMES, i, 11), pick(&LAST_NAMES, i, 12));
    let (make, line) = pick(&MAKES, i, 13);
    let serial = mix(i, 14) % 10_000_000;
    [
        format!("\"nombre_completo\":\"{first} {last} {second}\","),
        format!("\"email\":\"persona.inventada.{i}@example.com\","),
        format!("\"curp_rfc\":\"XEXX010101HNEXXX{:02}\",", i % 100),
        format!("\"marca\":\"{make}\","),
        format!("\"linea\":\"{line}\","),
        format!("\"color\":\"{}\",", pick(&COLORS, i, 15)),
        format!("\"numero_serie\":\"NOEXISTE00{serial:07}\","),
        format!("\"numero_motor\":\"FALSO{serial:07}\","),
        format!("\"ano_modelo\":\"{}\",", 1995 + mix(i, 16) % 31),
    ]
}

/// Appends an invented address until `json` is exactly `length` bytes long.
fn fill_with_address(json: &mut String, i: u64, length: usize) {
    let street = pick(&STREETS, i, 17);
    let mut next = format!("{street} {}", 1 + mix(i, 18) % 900);
    let mut salt = 20;
    while json.len() + next.len() <= length {
        json.push_str(&next);
        next = format!(", {}", pick(&REMARKS, i, salt));
        salt += 1;
    }
    for letter in next.chars().take_while(|letter| *letter != '"') {
        if json.len() + letter.len_utf8() > length {
            break;
        }
        json.push(letter);
    }
    // At most one accented letter did not fit.
    while json.len() < length {
        json.push('.');
    }
}

fn pick<T: Copy>(from: &[T], i: u64, salt: u64) -> T {
    let index = mix(i, salt) % from.len() as u64;
    from[usize::try_from(index).expect("an index")]
}

/// SplitMix64: a pseudo-random number that depends only on the two inputs.
fn mix(i: u64, salt: u64) -> u64 {
    let mut z = i.wrapping_add(salt.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn states_are_json_of_200_to_1500_bytes_and_800_on_average() {
        let mut total = 0;
        for i in 0..5_000 {
            let json = state_json(i);
            assert!((200..=1500).contains(&json.len()), "{} bytes", json.len());
            let value: Value = serde_json::from_str(&json).unwrap();
            assert!(value["status"].is_string() && value["data"]["domicilio"].is_string());
            total += json.len();
        }
        let average = total / 5_000;
        assert!((750..850).contains(&average), "{average} bytes on average");
    }

    #[test]
    fn a_state_has_exactly_the_requested_size() {
        for bytes in (200..2_000).chain([10_000, 1_000_000]) {
            let json = state_json_sized(u64::try_from(bytes).unwrap(), bytes);
            assert_eq!(json.len(), bytes);
            assert!(serde_json::from_str::<Value>(&json).is_ok());
        }
    }

    #[test]
    fn a_full_state_has_every_field_of_the_bot_and_letters_with_accents() {
        let json = state_json_sized(7, 900);
        let value: Value = serde_json::from_str(&json).unwrap();
        for field in [
            "nombre_completo",
            "curp_rfc",
            "email",
            "marca",
            "linea",
            "color",
            "numero_serie",
            "numero_motor",
            "ano_modelo",
            "domicilio",
        ] {
            assert!(value["data"][field].is_string(), "no {field}");
        }
        assert!(value["createdAt"].as_u64() > Some(EPOCH_MS - 1));
        assert!(!json.is_ascii());
    }

    #[test]
    fn the_same_number_gives_the_same_state_and_another_number_another() {
        assert_eq!(state_json(42), state_json(42));
        let names: HashSet<_> = (0..10_000).map(state_name).collect();
        let states: HashSet<_> = (0..10_000).map(state_json).collect();
        assert_eq!((names.len(), states.len()), (10_000, 10_000));
        assert!(
            names
                .iter()
                .all(|name| name.len() == "wa:5215512345678".len())
        );
    }
}
