//! AES-SIV for names against the vectors of Wycheproof and against the library, and its CMAC against those of NIST.

use proptest::prelude::*;

use super::*;
use crate::siv::SivKey;
use crate::siv::tests::wycheproof;

#[test]
fn the_wycheproof_cases_hold() {
    let mut seen = [0, 0];
    for case in wycheproof() {
        let key = NameKey::new(&case.key).unwrap();
        let data = key.prepare(&case.associated_data).unwrap();
        let mut text = case.ciphertext.clone();
        let opened = key.open_in_place(&data, &case.iv, &mut text);
        assert_eq!(opened.is_some(), case.is_valid, "case {}", case.id);
        assert!(!case.is_valid || text == case.value, "case {}", case.id);
        let mut text = case.value;
        let iv = key.seal_in_place(&data, &mut text).unwrap();
        let is_same = iv == case.iv && text == case.ciphertext;
        assert_eq!(is_same, case.is_valid, "case {}", case.id);
        seen[usize::from(case.is_valid)] += 1;
    }
    assert_eq!(seen, [108, 39]);
}

/// NIST SP 800-38B, appendix D.3.
#[test]
fn the_codes_of_nist_hold() {
    let key = 0x603d_eb10_15ca_71be_2b73_aef0_857d_7781_u128.to_be_bytes();
    let end = 0x1f35_2c07_3b61_08d7_2d98_10a3_0914_dff4_u128.to_be_bytes();
    let key: [u8; 32] = [key, end].concat().try_into().unwrap();
    let cmac = Cmac::new(Aes::new(&key).unwrap()).unwrap();
    let message: Vec<u8> = [
        0x6bc1_bee2_2e40_9f96_e93d_7e11_7393_172a_u128,
        0xae2d_8a57_1e03_ac9c_9eb7_6fac_45af_8e51,
        0x30c8_1c46_a35c_e411_e5fb_c119_1a0a_52ef,
        0xf69f_2445_df4f_9b17_ad2b_417b_e66c_3710,
    ]
    .map(u128::to_be_bytes)
    .concat();
    for (len, code) in [
        (0, 0x0289_62f6_1b7b_f89e_fc6b_551f_4667_d983),
        (16, 0x28a7_023f_452e_8f82_bd4b_f28d_8c37_c35c),
        (40, 0xaaf3_d8f1_de56_40c2_32f5_b169_b9c9_11e6),
        (64, 0xe199_2190_549f_6ed5_696a_2c05_6c31_5410),
    ] {
        assert_eq!(cmac.code(&message[..len]), Some(code), "{len}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn it_computes_what_the_library_does(
        key in proptest::array::uniform32(any::<u8>()),
        second in proptest::array::uniform32(any::<u8>()),
        associated_data in proptest::collection::vec(any::<u8>(), 0..100),
        value in proptest::collection::vec(any::<u8>(), 0..300),
        at in any::<prop::sample::Index>(),
    ) {
        let key: [u8; SIV_KEY_LEN] = [key, second].concat().try_into().unwrap();
        let (library, ours) = (SivKey::new(&key), NameKey::new(&key).unwrap());
        let data = ours.prepare(&associated_data).unwrap();
        let (mut expected, mut text) = (value.clone(), value.clone());
        let expected_iv = library.seal_in_place(&associated_data, &mut expected).unwrap();
        let iv = ours.seal_in_place(&data, &mut text).unwrap();
        prop_assert_eq!(iv, expected_iv);
        prop_assert_eq!(&text, &expected);
        prop_assert!(ours.open_in_place(&data, &iv, &mut text).is_some());
        prop_assert_eq!(&text, &value);

        // One bit of the synthetic IV or of the ciphertext.
        let bit = at.index((SIV_LEN + value.len()) * 8);
        let (mut iv, mut text) = (iv, expected);
        match iv.get_mut(bit / 8) {
            Some(byte) => *byte ^= 1 << (bit % 8),
            None => text[bit / 8 - SIV_LEN] ^= 1 << (bit % 8),
        }
        prop_assert!(ours.open_in_place(&data, &iv, &mut text).is_none());
    }
}
