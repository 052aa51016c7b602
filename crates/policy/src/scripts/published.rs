//! The SHA-1 digests of scripts of locks as libraries publish them, grouped by the normal form of the scripts
//! (`tokens`). Only the digests of published texts are kept; they cover line ends and comments.

/// Published texts of one normal form.
pub(super) struct Published {
    /// The normal form.
    pub(super) shape: &'static str,
    /// The digest of each text, and the library that publishes it.
    pub(super) texts: &'static [(&'static str, &'static str)],
}

const fn published(
    shape: &'static str,
    texts: &'static [(&'static str, &'static str)],
) -> Published {
    Published { shape, texts }
}

pub(super) static PUBLISHED: &[Published] = &[
    published(
        r#"return redis . call ( "exists" , KEYS [ 1 ] ) < 1 and redis . call ( "setex" , KEYS [ 1 ] , ARGV [ 2 ] , ARGV [ 1 ] )"#,
        &[("a08c9c69b7c07ae2485190873b90d128a23e502d", "Laravel, cache")],
    ),
    published(
        r#"if redis . call ( "setnx" , KEYS [ 1 ] , ARGV [ 1 ] ) == 1 then if ARGV [ 2 ] ~= "" then redis . call ( "pexpire" , KEYS [ 1 ] , ARGV [ 2 ] ) end return 1 end return 0"#,
        &[(
            "5688a2541c9edd77746bcd2385e65ff3639a664f",
            "redis-py 2.10.6",
        )],
    ),
    published(
        r#"local local0 = redis . call ( "get" , KEYS [ 1 ] ) if not local0 or local0 ~= ARGV [ 1 ] then return 0 end redis . call ( "del" , KEYS [ 1 ] ) return 1"#,
        &[(
            "c3f8721cbb97f72bc19e972846bd7aaf91901658",
            "redis-py 2.10.6",
        )],
    ),
    published(
        r#"local local0 = redis . call ( "get" , KEYS [ 1 ] ) if not local0 or local0 ~= ARGV [ 1 ] then return 0 end local local1 = redis . call ( "pttl" , KEYS [ 1 ] ) if not local1 then local1 = 0 end if local1 < 0 then return 0 end redis . call ( "pexpire" , KEYS [ 1 ] , local1 + ARGV [ 2 ] ) return 1"#,
        &[(
            "4a484ac024e9b025224cd9f8e1d59dbf3c15d00d",
            "redis-py 2.10.6",
        )],
    ),
    published(
        r#"local local0 = redis . call ( "get" , KEYS [ 1 ] ) if not local0 or local0 ~= ARGV [ 1 ] then return 0 end local local1 = redis . call ( "pttl" , KEYS [ 1 ] ) if not local1 then local1 = 0 end if local1 < 0 then return 0 end local local2 = ARGV [ 2 ] if ARGV [ 3 ] == "0" then local2 = ARGV [ 2 ] + local1 end redis . call ( "pexpire" , KEYS [ 1 ] , local2 ) return 1"#,
        &[(
            "a4e8783852e6b949f9ef3a97212805108459a890",
            "redis-py 3 to 6",
        )],
    ),
    published(
        r#"local local0 = redis . call ( "get" , KEYS [ 1 ] ) if not local0 or local0 ~= ARGV [ 1 ] then return 0 end redis . call ( "pexpire" , KEYS [ 1 ] , ARGV [ 2 ] ) return 1"#,
        &[(
            "1cac51482acf5858da00f6d685d68f886cd6b6b2",
            "redis-py 3 to 6",
        )],
    ),
    published(
        r#"local local0 = redis . call ( "get" , KEYS [ 1 ] ) if not local0 or local0 == ARGV [ 1 ] then return redis . call ( "set" , KEYS [ 1 ] , ARGV [ 1 ] , "px" , ARGV [ 2 ] ) else return redis . error_reply ( "ERROR" ) end"#,
        &[("aecadef15d24ccd9360d8641cdec8e0337a0d343", "aioredlock")],
    ),
    published(
        r#"local local0 = redis . call ( "get" , KEYS [ 1 ] ) if not local0 then return redis . status_reply ( "OK" ) elseif local0 == ARGV [ 1 ] then return redis . call ( "del" , KEYS [ 1 ] ) else return redis . error_reply ( "ERROR" ) end"#,
        &[("0e084295a6567dabd5b7d5b4c99018cff95fceff", "aioredlock")],
    ),
    published(
        r#"local local0 = redis . call ( "get" , KEYS [ 1 ] ) if not local0 then return redis . error_reply ( "ERROR" ) elseif local0 == ARGV [ 1 ] then return redis . call ( "ttl" , KEYS [ 1 ] ) else return redis . error_reply ( "ERROR" ) end"#,
        &[("2239e3d89e276c90ec523515c30bcf0071823c7e", "aioredlock")],
    ),
    published(
        r#"if redis . call ( "get" , KEYS [ 1 ] ) ~= ARGV [ 1 ] then return 1 elseif redis . call ( "ttl" , KEYS [ 1 ] ) < 0 then return 2 else redis . call ( "expire" , KEYS [ 1 ] , ARGV [ 2 ] ) return 0 end"#,
        &[(
            "fed16109024d968d9496e4140fe1355bac05ebff",
            "python-redis-lock",
        )],
    ),
    published(
        r#"local local0 = redis . call ( "setnx" , KEYS [ 1 ] , ARGV [ 1 ] ) if local0 == 1 and ARGV [ 2 ] ~= - 1 then redis . call ( "expire" , KEYS [ 1 ] , ARGV [ 2 ] ) end return local0"#,
        &[("7bcdefae3714859f68f1f2377bddae74a1af9391", "sherlock")],
    ),
    published(
        r#"local local0 = 0 if redis . call ( "get" , KEYS [ 1 ] ) == ARGV [ 1 ] then redis . call ( "del" , KEYS [ 1 ] ) local0 = 1 end return local0"#,
        &[("bfb9f817b2e860fe4fc58656b2bf657d3fdc2be1", "sherlock")],
    ),
    published(
        r#"local local0 = 0 if redis . call ( "get" , KEYS [ 1 ] ) == ARGV [ 1 ] then if ARGV [ 2 ] ~= - 1 then redis . call ( "expire" , KEYS [ 1 ] , ARGV [ 2 ] ) else redis . call ( "persist" , KEYS [ 1 ] ) end local0 = 1 end return local0"#,
        &[("8a7fdef25bdef981900f982f5773edaf35000372", "sherlock")],
    ),
    published(
        r#"if redis . call ( "get" , KEYS [ 1 ] ) == ARGV [ 1 ] then local local0 = redis . call ( "pttl" , KEYS [ 1 ] ) return ( local0 > 0 ) and local0 or 0 else return 0 end"#,
        &[("f5f7bd3a3aa4a63c507c1155c5ea1219b350d992", "pottery")],
    ),
    published(
        r#"if redis . call ( "get" , KEYS [ 1 ] ) == ARGV [ 1 ] then return redis . call ( "pexpire" , KEYS [ 1 ] , ARGV [ 2 ] ) else return 0 end"#,
        &[
            ("ba015a80261b616e7a62d35df0b8e3edbe6c9414", "pottery"),
            (
                "a7aba3bc5d6e99b3003da8b9d80a63b9f4092ecf",
                "redlock 2 and 3 (Node.js)",
            ),
            (
                "e218d686a8f90368e5cd45074f06ce766cad9987",
                "redlock-universal",
            ),
            (
                "ae948f48c8da9feb2e215c474a412c605d33ff30",
                "Symfony before 5.2",
            ),
            ("d75bb8b5bd13532ddedd17762e772346e39b321e", "redsync"),
        ],
    ),
    published(
        r#"if redis . call ( "get" , KEYS [ 1 ] ) == ARGV [ 1 ] then return redis . call ( "del" , KEYS [ 1 ] ) else return 0 end"#,
        &[
            ("a4aada0b36710970eedaaaeec4a6b7d8c78c4f80", "pottery"),
            ("aefc6bbfaac1ed02c135d12b12c8c42cdfb36af4", "cashews"),
            ("4e92fdc63815b3a0a2dd1c1df3694de73607c88d", "redlock-py"),
            (
                "cf0e94b2e9ffc7e04395cf88f7583fc309985910",
                "redlock 2 and 3 (Node.js)",
            ),
            (
                "fd83166fb3d7235e3ace652b700c9e217c1adc1f",
                "redlock-universal",
            ),
            (
                "b70c2384248f88e6b75b9f89241a180f856ad852",
                "phpredis, sessions",
            ),
            ("647c65a442733a1aa440f99908d249d13b4d6c4a", "Laravel"),
            (
                "bec85b1c518b7ba0348a49c79b24adbb1ca95d3b",
                "Symfony before 5.2",
            ),
            ("00583931c4e4d483f6233879c133c71ed5393f9d", "redsync"),
            ("8e4905cee18e7c3188d10f2b8b170e403baed34f", "redlock (Ruby)"),
            ("18b2a577dbe847b16bebde190d69a1613d68e60e", "RedLock.net"),
        ],
    ),
    published(
        r#"local local0 = redis . call ( "get" , KEYS [ 1 ] ) if not local0 then redis . call ( "set" , KEYS [ 1 ] , ARGV [ 1 ] , "ex" , ARGV [ 2 ] ) return 1 elseif local0 == ARGV [ 1 ] then redis . call ( "expire" , KEYS [ 1 ] , ARGV [ 2 ] ) return 2 end return 0"#,
        &[("4227fa753143e6f652e2e185d254964b3a7413a5", "RQ")],
    ),
    published(
        r#"if redis . call ( "get" , KEYS [ 1 ] ) == ARGV [ 1 ] then return redis . call ( "del" , KEYS [ 1 ] ) end return 0"#,
        &[
            ("d44df6e1a0e76df1009084a91af26cc23ac035a9", "RQ"),
            (
                "7157921a7cc7cfba979acf6d63f073151df17d12",
                "redis-semaphore",
            ),
            ("4dbb87cd80182f627d42cf6042188ecf00a1ff12", "ioredis-lock"),
        ],
    ),
    published(
        r#"return redis . call ( "set" , KEYS [ 1 ] , ARGV [ 1 ] , "nx" , "px" , ARGV [ 2 ] )"#,
        &[(
            "862f31bf38e9b63ce28d6e9e5143551bb34ef981",
            "redlock 2 and 3 (Node.js)",
        )],
    ),
    published(
        r#"for local0 , local1 in ipairs ( KEYS ) do if redis . call ( "exists" , local1 ) == 1 then return 0 end end for local0 , local1 in ipairs ( KEYS ) do redis . call ( "set" , local1 , ARGV [ 1 ] , "px" , ARGV [ 2 ] ) end return # KEYS"#,
        &[
            (
                "e5a322e2634ef59a516e8ea150cb085afafee684",
                "redlock 4 (Node.js)",
            ),
            (
                "96da70f7716f27d278a5218544df37fd8b0a5e4c",
                "redlock 5 (Node.js)",
            ),
        ],
    ),
    published(
        r#"local local0 = 0 for local1 , local2 in ipairs ( KEYS ) do if redis . call ( "get" , local2 ) == ARGV [ 1 ] then redis . pcall ( "del" , local2 ) local0 = local0 + 1 end end return local0"#,
        &[
            (
                "0f0f23b9048b36752b5be114f357ba083449f908",
                "redlock 4 (Node.js)",
            ),
            (
                "e4612211c9f8f51c257e26e056b0a654b3187242",
                "redlock 5 (Node.js)",
            ),
        ],
    ),
    published(
        r#"for local0 , local1 in ipairs ( KEYS ) do if redis . call ( "get" , local1 ) ~= ARGV [ 1 ] then return 0 end end for local0 , local1 in ipairs ( KEYS ) do redis . call ( "set" , local1 , ARGV [ 1 ] , "px" , ARGV [ 2 ] ) end return # KEYS"#,
        &[
            (
                "ce46f80993d5dac20dd066eb301a4e37994bdbed",
                "redlock 4 (Node.js)",
            ),
            (
                "aed6f382e410db8ba7926d4e5e9aab410bf2a78a",
                "redlock 5 (Node.js)",
            ),
        ],
    ),
    published(
        r#"local local0 = redis . call ( "get" , KEYS [ 1 ] ) if local0 == ARGV [ 1 ] then redis . call ( "pexpire" , KEYS [ 1 ] , ARGV [ 2 ] ) return 1 end return 0"#,
        &[(
            "594683e49a64ebaf975caf5f8079a1d097c438f1",
            "redis-semaphore",
        )],
    ),
    published(
        r#"if redis . call ( "get" , KEYS [ 1 ] ) == ARGV [ 1 ] then return redis . call ( "pexpire" , KEYS [ 1 ] , ARGV [ 2 ] ) end return 0"#,
        &[("50f5ab4d38adaf78b662a67356cf1fe302b3e00f", "ioredis-lock")],
    ),
    published(
        r#"if redis . call ( "get" , KEYS [ 1 ] ) == ARGV [ 1 ] then return redis . call ( "pexpire" , KEYS [ 1 ] , ARGV [ 2 ] ) else return redis . call ( "set" , KEYS [ 1 ] , ARGV [ 1 ] , "nx" , "px" , ARGV [ 2 ] ) end"#,
        &[(
            "382a00f43d29409f9e1ebe2cbcfe1ec089f8d154",
            "Symfony before 5.2",
        )],
    ),
    published(
        r#"local local0 = redis . call ( "get" , KEYS [ 1 ] ) if local0 == ARGV [ 1 ] then return redis . call ( "del" , KEYS [ 1 ] ) elseif local0 == false then return - 1 else return 0 end"#,
        &[("e950836ed1e694540c503ef9972b8de518044d3b", "redsync")],
    ),
    published(
        r#"if redis . call ( "get" , KEYS [ 1 ] ) == ARGV [ 1 ] then return redis . call ( "pexpire" , KEYS [ 1 ] , ARGV [ 2 ] ) elseif redis . call ( "set" , KEYS [ 1 ] , ARGV [ 1 ] , "px" , ARGV [ 2 ] , "nx" ) then return 1 else return 0 end"#,
        &[("b6b55c439e02c6f52ffb8be7ec8c0d0ac816ea79", "redsync")],
    ),
    published(
        r#"if redis . call ( "get" , KEYS [ 1 ] ) == ARGV [ 1 ] then return redis . call ( "pttl" , KEYS [ 1 ] ) else return - 3 end"#,
        &[("6484da7d58920897fdc22b7f9afd1a3d47524ea8", "bsm/redislock")],
    ),
    published(
        r#"if redis . call ( "get" , KEYS [ 1 ] ) == ARGV [ 1 ] then redis . call ( "set" , KEYS [ 1 ] , ARGV [ 2 ] ) return 1 else return 0 end"#,
        &[("94eac401502554c02b811e3199baddde62d976d4", "Nextcloud")],
    ),
    published(
        r#"if ( redis . call ( "exists" , KEYS [ 1 ] ) == 0 and ARGV [ 3 ] == "yes" ) or redis . call ( "get" , KEYS [ 1 ] ) == ARGV [ 1 ] then return redis . call ( "set" , KEYS [ 1 ] , ARGV [ 1 ] , "px" , ARGV [ 2 ] ) end"#,
        &[("ceb2b2062e40c51a2b3963fd078bc71f11bdc65c", "redlock (Ruby)")],
    ),
    published(
        r#"local local0 = redis . call ( "get" , KEYS [ 1 ] ) if local0 == ARGV [ 1 ] then redis . call ( "pexpire" , KEYS [ 1 ] , ARGV [ 2 ] ) return true elseif not local0 then redis . call ( "set" , KEYS [ 1 ] , ARGV [ 1 ] , "px" , ARGV [ 2 ] ) return true end return false"#,
        &[(
            "175897a4e379e99e79a54937be09226f76cdcfe5",
            "Spring Integration",
        )],
    ),
    published(
        r#"if redis . call ( "get" , KEYS [ 1 ] ) == ARGV [ 1 ] then redis . call ( "pexpire" , KEYS [ 1 ] , ARGV [ 2 ] ) return true end return false"#,
        &[(
            "879e0f7b8d83c3266d4e996627438c05dbda0b89",
            "Spring Integration",
        )],
    ),
    published(
        r#"local local0 = redis . call ( "get" , KEYS [ 1 ] ) if local0 == false then return redis . call ( "set" , KEYS [ 1 ] , ARGV [ 1 ] , "px" , ARGV [ 2 ] ) and 1 or 0 elseif local0 == ARGV [ 1 ] then return redis . call ( "pexpire" , KEYS [ 1 ] , ARGV [ 2 ] ) else return - 1 end"#,
        &[("9f614a785a5f9ae8c6396c6b4bf94d2087342603", "RedLock.net")],
    ),
];
