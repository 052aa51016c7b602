//! The ARN of a key or of an alias of AWS KMS ("Service Authorization Reference", AWS Key
//! Management Service: `arn:PARTITION:kms:REGION:ACCOUNT:key/ID`, `…:alias/NAME`). Whether it
//! exists is not known here.

const ACCOUNT_LEN: usize = 12;
const MAX_ARN_LEN: usize = 2048;

/// The region of an ARN, or the defect of the ARN.
pub(super) fn region(arn: &str) -> Result<&str, &'static str> {
    let mut parts = arn.splitn(6, ':');
    let mut next = || parts.next().unwrap_or_default();
    let (start, partition, service) = (next(), next(), next());
    let (region, account, resource) = (next(), next(), next());
    if start != "arn" {
        return Err("awskms: is followed by the ARN of a key, which starts with arn:");
    }
    if !(partition == "aws" || partition.starts_with("aws-")) || !is_name(partition) {
        return Err("the ARN's partition is aws, aws-cn, aws-us-gov or the like");
    }
    if service != "kms" {
        return Err("the ARN is not one of the service kms");
    }
    if region.is_empty() || !is_name(region) {
        return Err("the ARN names no region");
    }
    if account.len() != ACCOUNT_LEN || !account.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("the ARN's account is 12 digits");
    }
    let is_name = |name: &str, more: &[u8]| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || more.contains(&byte);
        !name.is_empty() && name.bytes().all(fits)
    };
    let is_resource = match resource.split_once('/') {
        Some(("key", id)) => is_name(id, b"-"),
        Some(("alias", name)) => is_name(name, b"-_/"),
        _ => false,
    };
    if !is_resource || arn.len() > MAX_ARN_LEN {
        return Err("the ARN ends in key/ID or alias/NAME");
    }
    Ok(region)
}

fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_comes_from_the_arn() {
        for (arn, expected) in [
            (
                "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
                "eu-central-1",
            ),
            (
                "arn:aws-cn:kms:cn-north-1:111122223333:alias/waxseal/a_b",
                "cn-north-1",
            ),
            (
                "arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/mrk-12ab",
                "us-gov-west-1",
            ),
        ] {
            assert_eq!(region(arn), Ok(expected));
        }
    }

    #[test]
    fn an_invalid_arn_is_refused_with_its_defect() {
        for (arn, word) in [
            ("", "arn:"),
            ("alias/waxseal", "arn:"),
            ("1234abcd-12ab-34cd-56ef-1234567890ab", "arn:"),
            ("arn:azure:kms:eu-central-1:111122223333:key/a", "partition"),
            ("arn:aws:s3:eu-central-1:111122223333:key/a", "service"),
            ("arn:aws:kms::111122223333:key/a", "region"),
            ("arn:aws:kms:eu/../x:111122223333:key/a", "region"),
            ("arn:aws:kms:eu-central-1:1111:key/a", "account"),
            ("arn:aws:kms:eu-central-1:11112222333x:key/a", "account"),
            ("arn:aws:kms:eu-central-1:111122223333:key/", "ends"),
            ("arn:aws:kms:eu-central-1:111122223333:key/a b", "ends"),
            ("arn:aws:kms:eu-central-1:111122223333:key/a:b", "ends"),
            ("arn:aws:kms:eu-central-1:111122223333:grant/a", "ends"),
            ("arn:aws:kms:eu-central-1:111122223333", "ends"),
        ] {
            let error = region(arn).unwrap_err();
            assert!(error.contains(word), "{arn}: {error}");
        }
    }
}
