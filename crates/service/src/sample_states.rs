//! Invented conversation states of a bot that registers cars, for the demo and for decoys. No person of these names
//! exists.

use serde_json::json;

const FIRST: [&str; 8] = [
    "María", "José", "Lucía", "Andrés", "Sofía", "Raúl", "Inés", "Óscar",
];
const LAST: [&str; 8] = [
    "Núñez",
    "Gutiérrez",
    "Hernández",
    "Peña",
    "Ibáñez",
    "Ordóñez",
    "Muñoz",
    "Lázaro",
];
const CARS: [(&str, &str); 4] = [
    ("Nissan", "Sentra"),
    ("Volkswagen", "Jetta"),
    ("Mazda", "3"),
    ("Kia", "Río"),
];
const STEPS: [&str; 4] = [
    "showing_menu",
    "awaiting_privacy_consent",
    "collecting_data",
    "confirming",
];

/// Returns the user of a state: a phone number.
#[must_use]
pub fn phone(index: u64) -> String {
    format!("52155{:08}", 10_000_000 + index)
}

/// Returns a state in JSON, about 700 bytes long.
#[must_use]
pub fn state(index: u64) -> Vec<u8> {
    state_at(index, 1_763_386_800_000 + index * 977)
}

/// Returns a state of this time (milliseconds since the Unix epoch).
#[must_use]
pub fn state_at(index: u64, at: u64) -> Vec<u8> {
    let pick = |words: &[&'static str], by: u64| words[(index / by) as usize % words.len()];
    let (first, last, second) = (pick(&FIRST, 1), pick(&LAST, 8), pick(&LAST, 64));
    let (make, model) = CARS[index as usize % CARS.len()];
    let state = json!({
        "status": pick(&STEPS, 2),
        "currentField": index % 12,
        "data": {
            "nombre_completo": format!("{first} {last} {second}"),
            "curp_rfc": format!("XEXX{:06}HDFXXX{:02}", index % 1_000_000, index % 100),
            "email": format!("persona{index}@example.com"),
            "marca": make,
            "linea": model,
            "color": "Azul y rojo",
            "numero_serie": format!("3N1AB7AD{index:09}"),
            "numero_motor": format!("MR20{index:08}"),
            "ano_modelo": 2005 + index % 20,
            "domicilio": format!("Calle de la Ilusión {}, Colonia Ejemplo, 0{:04} Ciudad de México",
                index % 900 + 1, index % 10_000),
        },
        "history": ["Hola", "¿Qué trámite desea realizar?", "Registro de vehículo",
            "Por favor escriba su nombre completo como aparece en su identificación"],
        "timestamp": at,
        "lastActivity": at + 4_321,
    });
    state.to_string().into_bytes()
}
