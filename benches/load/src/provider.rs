//! A provider on loopback: its key, its logout tokens, and the few documents the servers ask for.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64ct::{Base64UrlUnpadded, Encoding};
use ring::rand::SystemRandom;
use ring::rsa::{KeyPair, KeyPairComponents, PublicKeyComponents};
use ring::signature::RSA_PKCS1_SHA256;
use serde_json::{Value, json};

use crate::Failed;
use crate::claimgate::USERS;
use crate::comparisons::AUDIENCE;

pub const CLIENT: &str = "load";
pub const KEY_ID: &str = "load-1";
/// The client's secret, which verifies HS256.
pub const SECRET: &str = "a client secret of more than 32 characters";

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

/// Signs by RS256 with a key of 2048 bits.
pub struct Provider {
    pub issuer: String,
    key: KeyPair,
    secret: ring::hmac::Key,
    jwks: String,
}

impl Provider {
    /// Makes keys with `claimgate keygen`, signs with the first, publishes all, and listens.
    pub fn start(claimgate: &Path, folder: &Path, keys: usize) -> Result<Arc<Self>, Failed> {
        let (jwk, mut set) = keygen(claimgate, folder, KEY_ID)?;
        for number in 1..keys {
            let (_, other) = keygen(claimgate, folder, &format!("another-{number}"))?;
            set["keys"].as_array_mut().ok_or("a key set")?.push(other["keys"][0].clone());
        }
        let part = |name: &str| {
            let text = jwk[name].as_str().ok_or("a private RSA key")?;
            Base64UrlUnpadded::decode_vec(text).map_err(|error| Failed::from(error.to_string()))
        };
        let key = KeyPair::from_components(&KeyPairComponents {
            public_key: PublicKeyComponents { n: part("n")?, e: part("e")? },
            d: part("d")?,
            p: part("p")?,
            q: part("q")?,
            dP: part("dp")?,
            dQ: part("dq")?,
            qInv: part("qi")?,
        })
        .map_err(|error| error.to_string())?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let issuer = format!("http://{}", listener.local_addr()?);
        let provider = Arc::new(Self {
            issuer,
            key,
            secret: ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes()),
            jwks: set.to_string(),
        });
        let serving = Arc::clone(&provider);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let provider = Arc::clone(&serving);
                std::thread::spawn(move || provider.serve(stream));
            }
        });
        Ok(provider)
    }

    /// A token nobody signed: what a logout token says, and more.
    pub fn unsigned(&self, header: &str, more: &str) -> String {
        let claims = format!(
            r#"{{"iss":"{}","aud":"{CLIENT}","sub":"ada","jti":"x","iat":{at},"exp":{},"events":{{"http://schemas.openid.net/event/backchannel-logout":{{}}}}{more}}}"#,
            self.issuer,
            now() + 600,
            at = now()
        );
        let encode = Base64UrlUnpadded::encode_string;
        format!("{}.{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()), encode(&[7; 256]))
    }

    pub fn jwks_uri(&self) -> String {
        format!("{}/jwks", self.issuer)
    }

    fn sign(&self, typ: &str, claims: &Value) -> String {
        let header = json!({"alg": "RS256", "kid": KEY_ID, "typ": typ}).to_string();
        let encode = Base64UrlUnpadded::encode_string;
        let input = format!("{}.{}", encode(header.as_bytes()), encode(claims.to_string().as_bytes()));
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), input.as_bytes(), &mut signature)
            .expect("a key that signs");
        format!("{input}.{}", encode(&signature))
    }

    /// Logout tokens that differ in `jti`, `sid` and `sub`, signed on every core.
    pub fn logout_tokens(&self, count: usize) -> Vec<String> {
        let at = now();
        self.signed(count, |index| self.logout_token(index, at))
    }

    /// Access tokens that differ in `jti`, of the users that [`Claimgate::start_with`](crate::claimgate::Claimgate) links.
    pub fn access_tokens(&self, count: usize) -> Vec<String> {
        let at = now();
        self.signed(count, |index| {
            let claims = json!({
                "iss": self.issuer, "aud": AUDIENCE, "client_id": "program", "sub": subject(index % USERS),
                "jti": format!("{:032x}", spread(index, 4)), "iat": at, "exp": at + 3600,
            });
            self.sign("at+jwt", &claims)
        })
    }

    /// Makes tokens on every core.
    fn signed(&self, count: usize, token: impl Fn(usize) -> String + Sync) -> Vec<String> {
        let token = &token;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let part = |number: usize| -> Vec<String> {
            (number..count).step_by(threads).map(token).collect()
        };
        let parts: Vec<Vec<String>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|number| scope.spawn(move || part(number))).collect();
            threads.into_iter().map(|thread| thread.join().expect("signing does not panic")).collect()
        });
        (0..count).map(|index| parts[index % threads][index / threads].clone()).collect()
    }

    /// A logout token by HS256, with the `jti` of a number, for the session of a person.
    pub fn symmetric_logout_token(&self, number: usize, person: usize) -> String {
        self.symmetric_logout(number, &subject(person), &sid(person), now())
    }

    /// A logout token by HS256 for a subject and a session.
    pub fn symmetric_logout(&self, number: usize, subject: &str, sid: &str, at: u64) -> String {
        let claims = format!(
            r#"{{"iss":"{}","aud":"{CLIENT}","sub":"{subject}","sid":"{sid}","jti":"{number:032x}","iat":{at},"exp":{},"events":{{"http://schemas.openid.net/event/backchannel-logout":{{}}}}}}"#,
            self.issuer,
            at + 120
        );
        let encode = Base64UrlUnpadded::encode_string;
        let input =
            format!("{}.{}", encode(br#"{"alg":"HS256","typ":"logout+jwt"}"#), encode(claims.as_bytes()));
        let signature = ring::hmac::sign(&self.secret, input.as_bytes());
        format!("{input}.{}", encode(signature.as_ref()))
    }

    fn logout_token(&self, index: usize, at: u64) -> String {
        self.sign(
            "logout+jwt",
            &json!({
                "iss": self.issuer,
                "aud": CLIENT,
                "sub": subject(index),
                "sid": sid(index),
                "jti": format!("{:032x}", spread(index, 3)),
                "iat": at,
                "exp": at + 3600,
                "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
            }),
        )
    }

    /// Answers what a relying party asks, on a connection that is kept.
    fn serve(&self, stream: TcpStream) {
        let Ok(mut out) = stream.try_clone() else { return };
        let mut reader = BufReader::new(stream);
        loop {
            let mut first = String::new();
            let mut length = 0;
            if !matches!(reader.read_line(&mut first), Ok(1..)) {
                return;
            }
            loop {
                let mut line = String::new();
                match reader.read_line(&mut line) {
                    Ok(0) | Err(_) => return,
                    Ok(_) if line.trim().is_empty() => break,
                    Ok(_) => {
                        let lower = line.to_ascii_lowercase();
                        if let Some(value) = lower.strip_prefix("content-length:") {
                            length = value.trim().parse().unwrap_or(0);
                        }
                    }
                }
            }
            let mut body = vec![0; length];
            if reader.read_exact(&mut body).is_err() {
                return;
            }
            let answer = self.answer(first.split(' ').nth(1).unwrap_or_default(), &body);
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                answer.len()
            );
            if out.write_all(format!("{head}{answer}").as_bytes()).is_err() {
                return;
            }
        }
    }

    fn answer(&self, path: &str, body: &[u8]) -> String {
        let issuer = &self.issuer;
        match path {
            "/jwks" => self.jwks.clone(),
            "/token" => {
                // The code is the nonce and the person, so that nothing need be remembered.
                let body = String::from_utf8_lossy(body);
                let code = body.split('&').find_map(|pair| pair.strip_prefix("code=")).unwrap_or_default();
                let (nonce, person) = code.split_once('.').unwrap_or_default();
                let at = now();
                let id_token = self.sign(
                    "JWT",
                    &json!({
                        "iss": issuer, "aud": CLIENT, "sub": person, "nonce": nonce,
                        "sid": format!("of-{person}"), "iat": at, "exp": at + 300,
                    }),
                );
                json!({"access_token": "none", "token_type": "Bearer", "id_token": id_token}).to_string()
            }
            _ => json!({
                "issuer": issuer,
                "authorization_endpoint": format!("{issuer}/authorize"),
                "token_endpoint": format!("{issuer}/token"),
                "jwks_uri": self.jwks_uri(),
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "backchannel_logout_supported": true,
                "backchannel_logout_session_supported": true,
            })
            .to_string(),
        }
    }
}

/// A private key, and the set with its public half.
fn keygen(claimgate: &Path, folder: &Path, name: &str) -> Result<(Value, Value), Failed> {
    let (private, public) = (folder.join(format!("{name}.jwk")), folder.join(format!("{name}.jwks")));
    let mut command = Command::new(claimgate);
    command.args(["keygen", "--alg", "RS256", "--kid", name, "--out"]).arg(&private);
    if !command.arg("--public").arg(&public).status()?.success() {
        return Err("claimgate keygen failed".into());
    }
    let read = |file| -> Result<Value, Failed> { Ok(serde_json::from_str(&std::fs::read_to_string(file)?)?) };
    Ok((read(private)?, read(public)?))
}

pub fn sid(index: usize) -> String {
    format!("{:032x}", spread(index, 1))
}

pub fn subject(index: usize) -> String {
    format!("{:032x}", spread(index, 2))
}

/// Identifiers that are as scattered as a provider's are.
fn spread(index: usize, kind: u128) -> u128 {
    let mixed = (index as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    mixed.rotate_left(61).wrapping_mul(0xd1b5_4a32_d192_ed03_8cb9_2ba7_2f3d_8dd7 ^ kind)
}
