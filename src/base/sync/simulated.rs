//! A simulated world for model checks: virtual time, machines whose clocks disagree and stop, and a
//! scheduler whose whole history follows from one seed. Without a world all is shuttle's, and waits
//! never time out.
//!
//! Threads are shuttle's tasks. Time passes when none of them can go on, and now and then a little
//! while some can. A task that sleeps is parked until the clock's own task wakes it.

use std::cell::{Cell, RefCell};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use shuttle::current::me;
use shuttle::scheduler::{Schedule, Scheduler, Task, TaskId};
use shuttle::sync::{self, MutexGuard};
use shuttle::thread;

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
    static SEED: Cell<u64> = const { Cell::new(0) };
}

/// The task that moves the clock: the first that a history spawns.
const CLOCK: usize = 1;

/// Of so many steps, one at which some time passes while threads could go on.
const SLIPS: u64 = 64;

pub(crate) struct World {
    /// True time since the beginning.
    now: Duration,
    machines: Vec<Machine>,
    /// The machine of each task.
    tasks: Vec<Option<usize>>,
    sleepers: Vec<Sleeper>,
    /// Tasks that wait to be woken. For shuttle they could wake up at any moment.
    parked: Vec<bool>,
    chance: Chance,
    /// Of a hundred choices, so many in which the thread that runs goes on.
    sticks: u64,
    is_idle: bool,
    is_over: bool,
    /// Threads that nobody waits for.
    background: usize,
    /// Time that passed while threads could go on.
    slipped: Duration,
}

/// A machine with one process on it.
#[derive(Default)]
struct Machine {
    /// Its monotonic clock has lost so much: it did not run while the machine slept.
    lost: Duration,
    stopped_until: Duration,
}

struct Sleeper {
    machine: Option<usize>,
    /// By its machine's monotonic clock.
    until: Duration,
    wake: Wake,
}

#[derive(Clone)]
enum Wake {
    Task(usize),
    Condvar(usize, Arc<sync::Condvar>),
}

/// splitmix64: small, and the same everywhere.
#[derive(Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than this.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// True in so many of a hundred cases.
    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

fn in_world<T>(with: impl FnOnce(&mut World) -> T) -> Option<T> {
    WORLD.with_borrow_mut(|world| world.as_mut().map(with))
}

impl World {
    /// From now on, on this thread of the test, there is one: it ends with [`end`].
    pub(crate) fn begin(seed: u64) {
        let mut chance = Chance::new(seed ^ 0x5eed);
        let sticks = [0, 50, 90, 98][chance.below(4) as usize];
        WORLD.set(Some(Self {
            now: Duration::ZERO,
            machines: Vec::new(),
            tasks: Vec::new(),
            sleepers: Vec::new(),
            parked: Vec::new(),
            chance,
            sticks,
            is_idle: false,
            is_over: false,
            background: 0,
            slipped: Duration::ZERO,
        }));
    }

    fn machine_of(&self, task: TaskId) -> Option<usize> {
        self.tasks.get(usize::from(task)).copied().flatten()
    }

    fn set_parked(&mut self, task: usize, is_parked: bool) {
        if self.parked.len() <= task {
            self.parked.resize(task + 1, false);
        }
        self.parked[task] = is_parked;
    }

    fn is_parked(&self, task: TaskId) -> bool {
        self.parked.get(usize::from(task)).copied().unwrap_or_default()
    }

    fn is_stopped(&self, task: TaskId) -> bool {
        self.machine_of(task).is_some_and(|machine| self.machines[machine].stopped_until > self.now)
    }

    /// When this sleeper goes on, in true time.
    fn wakes_at(&self, sleeper: &Sleeper) -> Duration {
        match sleeper.machine.map(|machine| &self.machines[machine]) {
            Some(machine) => (sleeper.until + machine.lost).max(machine.stopped_until),
            None => sleeper.until,
        }
    }

    /// Lets time pass, and says who is to be woken.
    fn pass(&mut self) -> Vec<Wake> {
        let stops = self.machines.iter().map(|machine| machine.stopped_until);
        let wakes = self.sleepers.iter().map(|sleeper| self.wakes_at(sleeper));
        if self.is_idle {
            let next = wakes.map(|at| at.max(self.now)).chain(stops.filter(|at| *at > self.now));
            self.now = next.min().expect("a history in which nobody can ever go on");
        } else {
            let most = if self.chance.percent(5) { 5_000 } else { 200 };
            let slip = Duration::from_millis(self.chance.below(most));
            self.now += slip;
            self.slipped += slip;
        }
        let now = self.now;
        let due: Vec<bool> =
            self.sleepers.iter().map(|sleeper| self.wakes_at(sleeper) <= now).collect();
        let mut due = due.into_iter();
        let mut woken = Vec::new();
        self.sleepers.retain(|sleeper| {
            let is_due = due.next().unwrap_or_default();
            if is_due {
                woken.push(sleeper.wake.clone());
            }
            // One that is about to wait for a condition is told again, until it says that it woke.
            !is_due || matches!(sleeper.wake, Wake::Condvar(..))
        });
        woken
    }
}

/// The clock's task: the first that a history spawns.
pub(crate) fn run_clock() {
    assert_eq!(usize::from(me()), CLOCK);
    while !in_world(|world| world.is_over).unwrap_or(true) {
        for woken in in_world(World::pass).unwrap_or_default() {
            match woken {
                Wake::Task(task) => wake(task),
                Wake::Condvar(_, condvar) => condvar.notify_all(),
            }
        }
        thread::yield_now();
    }
}

/// The history is over: once the threads are gone for which nobody waits, the clock's task ends.
pub(crate) fn end() {
    while in_world(|world| world.background).unwrap_or_default() > 0 {
        sleep(Duration::from_secs(1));
    }
    in_world(|world| world.is_over = true);
}

/// Another machine, and its number.
pub(crate) fn new_machine() -> usize {
    in_world(|world| {
        world.machines.push(Machine::default());
        world.machines.len() - 1
    })
    .expect("a world")
}

/// The current task runs on this machine from now on.
pub(crate) fn run_on(machine: Option<usize>) {
    let task = usize::from(me());
    in_world(|world| {
        if world.tasks.len() <= task {
            world.tasks.resize(task + 1, None);
        }
        world.tasks[task] = machine;
    });
}

/// The current task's machine.
pub(crate) fn machine() -> Option<usize> {
    let task = me();
    in_world(|world| world.machine_of(task)).flatten()
}

/// The machine does nothing for so long. If it sleeps, its monotonic clock stands still meanwhile.
pub(crate) fn stop(machine: usize, time: Duration, sleeps: bool) {
    in_world(|world| {
        let until = world.now + time;
        let machine = &mut world.machines[machine];
        if machine.stopped_until > world.now {
            return;
        }
        machine.stopped_until = until;
        if sleeps {
            machine.lost += time;
        }
    });
}

/// True time since the beginning.
pub(crate) fn now() -> Duration {
    in_world(|world| world.now).expect("a world")
}

/// So much time has passed while threads could go on.
pub(crate) fn slipped() -> Duration {
    in_world(|world| world.slipped).unwrap_or_default()
}

/// The monotonic clock of the current task's machine, since the beginning.
pub(crate) fn machine_time() -> Duration {
    let task = me();
    in_world(|world| {
        let lost =
            world.machine_of(task).map_or(Duration::ZERO, |machine| world.machines[machine].lost);
        world.now.saturating_sub(lost)
    })
    .expect("a world")
}

/// The moment that a history's clocks begin at: some time ago, for tokens that are older.
fn beginning() -> Instant {
    static BEGINNING: OnceLock<Instant> = OnceLock::new();
    *BEGINNING.get_or_init(real_now)
}

#[allow(clippy::disallowed_methods)] // outside a simulation
fn real_now() -> Instant {
    Instant::now()
}

pub(crate) fn monotonic() -> Instant {
    match WORLD.with_borrow(Option::is_some) {
        true => beginning() + machine_time(),
        false => real_now(),
    }
}

pub(crate) fn chance() -> u64 {
    in_world(|world| world.chance.next()).unwrap_or_default()
}

pub(crate) fn sleep(time: Duration) {
    if !WORLD.with_borrow(Option::is_some) {
        return thread::yield_now();
    }
    let until = machine_time() + time;
    wait(until, || false);
}

/// Parks the current task until this moment of its machine, or until it is woken and ready.
pub(crate) fn wait(until: Duration, mut is_ready: impl FnMut() -> bool) {
    while !is_ready() && machine_time() < until {
        let task = usize::from(me());
        add_sleeper(until, Wake::Task(task));
        in_world(|world| world.set_parked(task, true));
        thread::park();
    }
}

/// Lets a task go on that waits.
pub(crate) fn wake(task: usize) {
    in_world(|world| world.set_parked(task, false));
}

fn add_sleeper(until: Duration, wake: Wake) {
    let machine = machine();
    in_world(|world| world.sleepers.push(Sleeper { machine, until, wake }));
}

/// The current task waits for no condition any more.
fn woke() {
    let task = usize::from(me());
    let is_it = |wake: &Wake| matches!(wake, Wake::Condvar(waiting, _) if *waiting == task);
    in_world(|world| world.sleepers.retain(|sleeper| !is_it(&sleeper.wake)));
}

fn spawn(run: impl FnOnce() + Send + 'static) {
    let machine = machine();
    in_world(|world| world.background += 1);
    thread::spawn(move || {
        run_on(machine);
        let result = catch_unwind(AssertUnwindSafe(run));
        in_world(|world| world.background -= 1);
        // A failed check; all else ends the thread, as usual.
        if let Err(payload) = result
            && (payload.is::<String>() || payload.is::<&str>())
        {
            resume_unwind(payload);
        }
    });
}

/// Threads for which no history waits.
#[derive(Default)]
pub(crate) struct Background;

impl Background {
    pub(crate) fn run(
        self: &Arc<Self>,
        _name: &str,
        run: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        spawn(run);
        Ok(())
    }

    pub(crate) fn is_over(&self) -> bool {
        false
    }

    pub(crate) fn finish(&self, _: Duration) -> bool {
        false
    }

    pub(crate) fn wait(&self, _: Duration) -> bool {
        false
    }

    pub(crate) fn enter(self: &Arc<Self>) -> impl Send + use<> {}
}

/// A condition variable whose waits end by the world's time.
#[derive(Default)]
pub(crate) struct Condvar(Arc<sync::Condvar>);

impl Condvar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }

    #[allow(clippy::type_complexity)] // std's own, except the second part, which nobody reads
    pub(crate) fn wait_timeout_while<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        time: Duration,
        mut is_to_wait: impl FnMut(&mut T) -> bool,
    ) -> Result<(MutexGuard<'a, T>, ()), PoisonError<(MutexGuard<'a, T>, ())>> {
        let has_world = WORLD.with_borrow(Option::is_some);
        let until = has_world.then(|| machine_time().saturating_add(time));
        while is_to_wait(&mut guard) {
            if let Some(until) = until {
                if machine_time() >= until {
                    break;
                }
                add_sleeper(until, Wake::Condvar(me().into(), self.0.clone()));
            }
            guard = self.0.wait(guard).unwrap_or_else(PoisonError::into_inner);
            woke();
        }
        Ok((guard, ()))
    }
}

/// One history per seed.
pub(crate) struct Seeds {
    next: u64,
    end: u64,
}

impl Seeds {
    pub(crate) fn new(seeds: std::ops::Range<u64>) -> Self {
        Self { next: seeds.start, end: seeds.end }
    }
}

/// The seed of the history that runs, or ran last, on this thread.
pub(crate) fn seed() -> u64 {
    SEED.get()
}

impl Scheduler for Seeds {
    fn new_execution(&mut self) -> Option<Schedule> {
        if self.next >= self.end {
            WORLD.set(None);
            return None;
        }
        SEED.set(self.next);
        World::begin(self.next);
        self.next += 1;
        Some(Schedule::new(SEED.get()))
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        current: Option<TaskId>,
        is_yielding: bool,
    ) -> Option<TaskId> {
        in_world(|world| {
            let clock = TaskId::from(CLOCK);
            let can_go_on = |task: &&Task| {
                task.id() != clock && !world.is_parked(task.id()) && !world.is_stopped(task.id())
            };
            let able: Vec<TaskId> =
                runnable.iter().filter(|task| can_go_on(task)).map(|task| task.id()).collect();
            world.is_idle = able.is_empty();
            let has_clock = runnable.iter().any(|task| task.id() == clock);
            if has_clock && (world.is_idle || world.chance.below(SLIPS) == 0) {
                return clock;
            }
            match current.filter(|current| !is_yielding && able.contains(current)) {
                Some(current) if world.chance.percent(world.sticks) => current,
                _ => able[world.chance.below(able.len() as u64) as usize],
            }
        })
    }

    fn next_u64(&mut self) -> u64 {
        chance()
    }
}
