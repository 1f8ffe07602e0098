//! The worker processes: started, killed at random moments, started again.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};

use crate::judge::Told;
use crate::line::{Line, What};

/// Tells a process that it is a worker, and which.
pub(crate) const WORKER: &str = "PAYTOKEN_SOAK_WORKER";

pub(crate) struct Fleet {
    order: String,
    told: Sender<Told>,
    workers: Vec<Worker>,
    /// How many were ever started; the parent itself is number 0.
    started: usize,
}

struct Worker {
    child: Child,
    reader: JoinHandle<()>,
}

impl Fleet {
    pub(crate) fn start(size: usize, order: String, told: Sender<Told>) -> std::io::Result<Self> {
        let mut fleet = Self { order, told, workers: Vec::new(), started: 0 };
        for _ in 0..size {
            let worker = fleet.worker()?;
            fleet.workers.push(worker);
        }
        Ok(fleet)
    }

    pub(crate) fn len(&self) -> usize {
        self.workers.len()
    }

    pub(crate) fn kills(&self) -> usize {
        self.started - self.workers.len()
    }

    pub(crate) fn process_id(&self, index: usize) -> u32 {
        self.workers[index].child.id()
    }

    /// Kills a worker with SIGKILL, and starts another one in its place.
    pub(crate) fn replace(&mut self, index: usize) -> std::io::Result<()> {
        let newer = self.worker()?;
        std::mem::replace(&mut self.workers[index], newer).kill();
        Ok(())
    }

    /// False if one has ended by itself, which none may do.
    pub(crate) fn stop(mut self) -> bool {
        let is_running = |worker: &mut Worker| matches!(worker.child.try_wait(), Ok(None));
        let all_ran = self.workers.iter_mut().all(is_running);
        self.workers.into_iter().for_each(Worker::kill);
        all_ran
    }

    fn worker(&mut self) -> std::io::Result<Worker> {
        self.started += 1;
        let number = self.started;
        let mut child = Command::new(std::env::current_exe()?)
            .env(WORKER, number.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        if let Some(input) = &mut child.stdin {
            writeln!(input, "{}", self.order)?;
        }
        let output = child.stdout.take();
        let told = self.told.clone();
        let reader = thread::spawn(move || {
            let mut output = BufReader::new(output.expect("it is piped"));
            let mut text = String::new();
            // The last one of a process that was killed may lack its end.
            while output.read_line(&mut text).is_ok() && text.ends_with('\n') {
                let line = text.parse().expect("a line of a worker");
                let _ = told.send(Told { process: number, line });
                text.clear();
            }
            let line = Line::new("", What::Died);
            let _ = told.send(Told { process: number, line });
        });
        Ok(Worker { child, reader })
    }
}

impl Worker {
    fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = self.reader.join();
    }
}
