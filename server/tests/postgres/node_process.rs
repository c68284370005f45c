//! A node in a process of its own: this test program again, which does what it reads from its standard input. Such a
//! node can be stopped, killed, cut off or given another clock.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, UNIX_EPOCH};

use claimgate::oidc::records::Position;
use claimgate::oidc::session::SessionId;
use claimgate_server::store::postgres::{MIGRATIONS, PgStore, Server, Settings};
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

use super::engine::{Engine, runtime};
use super::people::{Visit, logout, of_sid};
use super::record::{Record, clock};
use super::updates::NEXT;

/// The variables that make this program a node: the address of the database, and the bound in milliseconds.
const ADDRESS: &str = "CLAIMGATE_TEST_NODE_ADDRESS";
const BOUND: &str = "CLAIMGATE_TEST_NODE_BOUND";
/// The variable that makes the node one of the next version of the program.
const NEWER: &str = "CLAIMGATE_TEST_NODE_NEWER";
/// What each line of a node begins with: the test program prints its own beside them.
const MARK: &str = "node: ";
/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a node last said about a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// `live`, `over` or `unsure`.
    pub(crate) answer: &'static str,
    /// When it was asked.
    pub(crate) asked: Duration,
}

/// What a node has printed.
#[derive(Default)]
struct Output {
    record: Record,
    said: BTreeMap<SessionId, Said>,
}

/// A node that runs. It is killed when this value is dropped.
pub(crate) struct NodeProcess {
    child: Child,
    input: ChildStdin,
    replies: Receiver<String>,
    output: Arc<Mutex<Output>>,
    reader: Option<std::thread::JoinHandle<()>>,
    /// Seconds since 1970 by the node's clock, at its start.
    pub(crate) started: i64,
}

impl NodeProcess {
    /// Starts a node on a database, by a command in front (`ip netns exec …`, `faketime …`), and waits until it has
    /// opened the database.
    pub(crate) fn start(front: &[&str], address: &str, bound: Duration) -> Self {
        Self::start_as(front, address, bound, false)
    }

    /// Starts a node of the next version of the program, which knows [`NEXT`] too.
    pub(crate) fn start_newer(address: &str, bound: Duration) -> Self {
        Self::start_as(&[], address, bound, true)
    }

    fn start_as(front: &[&str], address: &str, bound: Duration, newer: bool) -> Self {
        let program = std::env::current_exe().unwrap();
        let mut command = match front {
            [] => Command::new(&program),
            [first, rest @ ..] => {
                let mut command = Command::new(first);
                command.args(rest).arg(&program);
                command
            }
        };
        command
            .args(["--exact", "--nocapture", "node_process::a_node_runs_in_a_process_of_its_own"])
            .env(ADDRESS, address)
            .env(BOUND, bound.as_millis().to_string())
            .envs(newer.then_some((NEWER, "")))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (input, lines) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let output = Arc::new(Mutex::new(Output::default()));
        let (reply, replies) = channel();
        let reader = {
            let output = Arc::clone(&output);
            std::thread::spawn(move || {
                for line in lines.lines().map_while(Result::ok) {
                    // The program may have begun the line.
                    let Some((_, line)) = line.split_once(MARK) else { continue };
                    if !output.lock().note(line) {
                        drop(reply.send(line.to_owned()));
                    }
                }
            })
        };
        let mut node = Self { child, input, replies, output, reader: Some(reader), started: 0 };
        node.started = node.reply().parse().unwrap();
        node
    }

    fn reply(&self) -> String {
        self.replies.recv_timeout(PATIENCE).expect("the node answers")
    }

    /// Has the node do something. Returns its reply.
    pub(crate) fn ask(&mut self, command: &str) -> String {
        self.begin(command);
        self.reply()
    }

    /// Has the node do something that has no reply.
    pub(crate) fn begin(&mut self, command: &str) {
        writeln!(self.input, "{command}").unwrap();
        self.input.flush().unwrap();
    }

    /// Has the node serve a session without a pause from now on.
    pub(crate) fn serve(&mut self, session: SessionId) {
        self.begin(&format!("serve {session}"));
    }

    /// Waits until the node says something about a session to a client that asked at `since` or later.
    pub(crate) async fn until(&self, session: SessionId, answer: &str, since: Duration) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said = self.output.lock().said.get(&session).copied();
            if said.is_some_and(|said| said.answer == answer && said.asked >= since) {
                return;
            }
            assert!(Instant::now() < deadline, "{session} is not {answer}: {said:?}");
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Returns what the node has acknowledged and served.
    pub(crate) fn record(&self) -> Record {
        self.output.lock().record.clone()
    }

    /// Stops the process, which stays, until [`resume`](Self::resume).
    pub(crate) fn stop(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets the process go on.
    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Kills the process as `kill -9` does, and returns what it had printed.
    pub(crate) fn kill(mut self) -> Record {
        self.child.kill().unwrap();
        self.reader.take().unwrap().join().unwrap();
        self.record()
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Output {
    /// Notes a line about what was served or acknowledged. Returns `false` for any other.
    fn note(&mut self, line: &str) -> bool {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["served", session, asked, answer] => {
                let session = SessionId::from_hex(session).unwrap();
                let asked = Duration::from_nanos(asked.parse().unwrap());
                let answer = ["live", "over", "unsure"].into_iter().find(|known| *known == answer).unwrap();
                self.said.insert(session, Said { answer, asked });
                if answer == "live" {
                    self.record.serve(session, asked);
                }
                true
            }
            ["acknowledged", jti] => {
                self.record.acknowledge(jti, None);
                true
            }
            _ => false,
        }
    }
}

fn say(line: &str) {
    println!("{MARK}{line}");
}

/// Asks a node about a session without a pause.
async fn serve(node: PgStore, session: SessionId) {
    loop {
        let asked = clock();
        let answer = match node.ask(session).await {
            Ok(Some(_)) => "live",
            Ok(None) => "over",
            Err(_) => "unsure",
        };
        say(&format!("served {session} {} {answer}", asked.as_nanos()));
        sleep(Duration::from_millis(5)).await;
    }
}

/// Sends logouts without a pause, each of the session whose `sid` is its `jti`.
async fn storm(node: PgStore, name: String) {
    for number in 0.. {
        let jti = format!("{name}.{number}");
        if node.apply_logouts(&[logout(&jti, of_sid(&jti))]).await.is_ok() {
            say(&format!("acknowledged {jti}"));
        }
    }
}

/// Does what a line says. Returns the reply, if it has one.
async fn obey(node: &PgStore, words: &[&str]) -> Option<String> {
    Some(match *words {
        ["serve", session] => {
            tokio::spawn(serve(node.clone(), SessionId::from_hex(session).unwrap()));
            return None;
        }
        ["storm", name] => {
            tokio::spawn(storm(node.clone(), name.to_owned()));
            return None;
        }
        ["position"] => node.position().0.to_string(),
        ["sign-in", _, _] | ["sign-in", _, _, _] => {
            let mut visit = Visit::now(node, words[1], Some(words[2]));
            if let Some(begun) = words.get(3) {
                visit.begun = Position(begun.parse().unwrap());
                visit.issued_at = 500;
            }
            let signed_in = visit.complete(node).await.unwrap();
            signed_in.map_or("refused".to_owned(), |_| visit.session.id.to_string())
        }
        ["log-out", jti, sid] => match &node.apply_logouts(&[logout(jti, of_sid(sid))]).await.unwrap()[0] {
            Ok(ended) => ended.sessions.to_string(),
            Err(replayed) => format!("{replayed:?}"),
        },
        ["use", state] => node.use_state(state).await.unwrap().to_string(),
        ["purge"] => {
            node.purge().await.unwrap();
            "purged".to_owned()
        }
        _ => panic!("{words:?}"),
    })
}

/// Is the node where [`NodeProcess::start`] has started this program.
#[test]
fn a_node_runs_in_a_process_of_its_own() {
    if let (Ok(address), Ok(bound)) = (std::env::var(ADDRESS), std::env::var(BOUND)) {
        return run(&address, &bound);
    }
    let Some(engine) = Engine::shared() else { return };
    runtime().block_on(async {
        let database = engine.new_database().await;
        let mut node = NodeProcess::start(&[], &engine.address(&database), Duration::from_secs(1));
        assert!(SessionId::from_hex(&node.ask("sign-in ada s")).is_some());
        assert_eq!(node.ask("log-out 1 s"), "1");
        assert_eq!(node.ask("log-out 1 s"), "Replayed");
    });
}

fn run(address: &str, bound: &str) {
    let revocation_bound = Duration::from_millis(bound.parse().unwrap());
    let settings = Settings { revocation_bound, ..Settings::default() };
    let migrations = if std::env::var_os(NEWER).is_some() { NEXT } else { MIGRATIONS };
    let server = Server::new(address.parse().unwrap(), None);
    runtime().block_on(async {
        let deadline = Instant::now() + PATIENCE;
        let node = loop {
            match PgStore::open_as(server.clone(), settings, migrations).await {
                Ok(node) => break node,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            sleep(Duration::from_millis(50)).await;
        };
        say(&UNIX_EPOCH.elapsed().unwrap().as_secs().to_string());
        let (line, mut lines) = tokio::sync::mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for read in std::io::stdin().lines().map_while(Result::ok) {
                drop(line.send(read));
            }
        });
        while let Some(line) = lines.recv().await {
            if let Some(reply) = obey(&node, &line.split(' ').collect::<Vec<_>>()).await {
                say(&reply);
            }
        }
    });
}
