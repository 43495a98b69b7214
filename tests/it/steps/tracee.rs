//! A child under ptrace: stepped an instruction at a time, with what each one may have written.
//!
//! Before a step the instruction is decoded, so that only the bytes that it can write need be looked
//! at. The child marks the beginning and the end of an operation with SIGSTOPs, which it never sees.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use iced_x86::{
    Decoder, DecoderOptions, InstructionInfoFactory, Mnemonic, OpAccess, Register, UsedMemory,
};

use crate::children::Process;

/// What an instruction can do to the store's files.
enum Effect {
    None,
    Writes(Vec<UsedMemory>),
    Call,
    Unknown,
}

/// Where the child is after a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stepped {
    /// Nothing was written to a mapped file.
    Quietly,
    /// So many bytes may have been written to a file, from an offset on.
    Wrote { file: String, offset: u64, length: u64 },
    /// A system call, or an instruction that is not known: anything may have changed.
    Called,
    /// The mark at the end of the operation.
    Marked,
}

struct Mapped {
    start: u64,
    end: u64,
    offset: u64,
    file: String,
}

/// The child.
pub struct Tracee {
    process: Option<Process>,
    thread: libc::pid_t,
    directory: String,
    memory: File,
    mapped: Vec<Mapped>,
    effects: HashMap<u64, Effect>,
    factory: InstructionInfoFactory,
    /// Instructions stepped so far.
    pub steps: u64,
}

impl Tracee {
    /// Starts the role that takes commands; `None` where processes may not be traced.
    pub fn start(directory: &Path) -> Option<Self> {
        let mut process = Process::start("stepped", directory, 0);
        let ready = process.hear().unwrap();
        let thread: libc::pid_t = ready.strip_prefix("ready ").unwrap().parse().unwrap();
        pin(thread);
        // SAFETY: a request about a thread of a child of ours; no memory is passed.
        let seized = unsafe {
            libc::ptrace(libc::PTRACE_SEIZE, thread, 0, libc::PTRACE_O_EXITKILL as libc::c_long)
        };
        if seized != 0 {
            println!("skipped: ptrace is refused: {}", std::io::Error::last_os_error());
            return None;
        }
        Some(Self {
            process: Some(process),
            thread,
            directory: directory.to_str().unwrap().to_owned(),
            memory: File::open(format!("/proc/{thread}/mem")).unwrap(),
            mapped: Vec::new(),
            effects: HashMap::new(),
            factory: InstructionInfoFactory::new(),
            steps: 0,
        })
    }

    /// Sends a command, and lets the child come to the mark before it.
    pub fn begin(&mut self, command: &str) {
        self.process.as_mut().unwrap().tell(command);
        self.await_mark();
        self.refresh();
    }

    /// Lets the child run to the mark behind the command, if it is not there yet, and on.
    pub fn finish(&mut self, at_mark: bool) {
        if !at_mark {
            self.resume(libc::PTRACE_CONT);
            self.await_mark();
        }
        self.resume(libc::PTRACE_CONT);
        assert_eq!(self.process.as_mut().unwrap().hear().as_deref(), Some("done"));
    }

    /// A command from beginning to end, without a look at it.
    pub fn run(&mut self, command: &str) {
        self.begin(command);
        self.finish(false);
    }

    /// One instruction, from one stop to the next.
    pub fn step(&mut self) -> Stepped {
        self.steps += 1;
        let registers = self.registers();
        if !self.effects.contains_key(&registers.rip) {
            let effect = self.decode(registers.rip);
            self.effects.insert(registers.rip, effect);
        }
        let (written, called) = match &self.effects[&registers.rip] {
            Effect::None => (None, false),
            Effect::Writes(places) => (self.written(places, &registers), false),
            Effect::Call | Effect::Unknown => (None, true),
        };
        self.resume(libc::PTRACE_SINGLESTEP);
        if self.await_stop() == libc::SIGSTOP {
            return Stepped::Marked;
        }
        if called {
            self.refresh();
            return Stepped::Called;
        }
        written.unwrap_or(Stepped::Quietly)
    }

    /// Up to so many instructions, without a look at them; whether the mark at the end came first.
    pub fn stride(&mut self, steps: u64) -> bool {
        (0..steps).any(|_| {
            self.steps += 1;
            self.resume(libc::PTRACE_SINGLESTEP);
            self.await_stop() == libc::SIGSTOP
        })
    }

    /// The place in a mapped file that one of these operands names, with a margin.
    fn written(
        &self,
        places: &[UsedMemory],
        registers: &libc::user_regs_struct,
    ) -> Option<Stepped> {
        places.iter().find_map(|place| {
            let value = |register, _, _| Some(register_value(registers, register));
            let address = place.virtual_address(0, value).unwrap();
            let mapped = self.mapped.iter().find(|map| (map.start..map.end).contains(&address))?;
            // String instructions may count down.
            let length = 128 + place.memory_size().size() as u64;
            let offset = (mapped.offset + address - mapped.start).saturating_sub(64);
            Some(Stepped::Wrote { file: mapped.file.clone(), offset, length })
        })
    }

    fn decode(&mut self, at: u64) -> Effect {
        let mut code = [0u8; 15];
        // At the end of a page that is the last of its mapping fewer can be read.
        let known = (1..=15).rev().find(|&n| self.memory.read_exact_at(&mut code[..n], at).is_ok());
        let Some(known) = known else { return Effect::Unknown };
        let mut decoder = Decoder::with_ip(64, &code[..known], at, DecoderOptions::NONE);
        let instruction = decoder.decode();
        if instruction.is_invalid() {
            return Effect::Unknown;
        }
        if matches!(instruction.mnemonic(), Mnemonic::Syscall | Mnemonic::Sysenter | Mnemonic::Int)
        {
            return Effect::Call;
        }
        let writes = |place: &&UsedMemory| {
            use OpAccess::{CondWrite, ReadCondWrite, ReadWrite, Write};
            matches!(place.access(), Write | CondWrite | ReadWrite | ReadCondWrite)
        };
        let used = self.factory.info(&instruction).used_memory();
        let places: Vec<UsedMemory> = used.iter().filter(writes).copied().collect();
        if places.is_empty() { Effect::None } else { Effect::Writes(places) }
    }

    /// Which files of the directory are mapped where, by now.
    fn refresh(&mut self) {
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", self.thread)).unwrap();
        self.mapped.clear();
        for line in maps.lines() {
            let Some(name) = line.split_once(&self.directory).map(|(_, name)| name) else {
                continue;
            };
            let mut words = line.split_whitespace();
            let (start, end) = words.next().unwrap().split_once('-').unwrap();
            let hex = |digits| u64::from_str_radix(digits, 16).unwrap();
            self.mapped.push(Mapped {
                start: hex(start),
                end: hex(end),
                offset: hex(words.nth(1).unwrap()),
                file: name.trim_start_matches('/').to_owned(),
            });
        }
    }

    fn registers(&self) -> libc::user_regs_struct {
        let mut registers = std::mem::MaybeUninit::uninit();
        // SAFETY: the kernel fills in a structure of the type that the request wants.
        let got =
            unsafe { libc::ptrace(libc::PTRACE_GETREGS, self.thread, 0, registers.as_mut_ptr()) };
        assert_eq!(got, 0, "no registers of a stopped child");
        // SAFETY: filled in, as it says.
        unsafe { registers.assume_init() }
    }

    /// Lets the child go on; a signal that stopped it is dropped.
    fn resume(&self, request: libc::c_uint) {
        // SAFETY: a request about a stopped thread that this one traces; no memory is passed.
        let done = unsafe { libc::ptrace(request, self.thread, 0, 0) };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    }

    /// Waits for the next stop; its signal.
    fn await_stop(&self) -> libc::c_int {
        let mut status = 0;
        // SAFETY: waits for a thread that this one traces, into a number of ours.
        let found = unsafe { libc::waitpid(self.thread, &mut status, libc::__WALL) };
        assert_eq!(found, self.thread);
        assert!(libc::WIFSTOPPED(status), "the child has ended: {status:#x}");
        libc::WSTOPSIG(status)
    }

    fn await_mark(&mut self) {
        while self.await_stop() != libc::SIGSTOP {
            self.resume(libc::PTRACE_CONT);
        }
    }

    /// Kills the child where it is.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let Some(process) = self.process.take() else { return };
        process.signal(libc::SIGKILL);
        let mut status = 0;
        // Whoever traces a thread must wait for it, or the process never ends.
        // SAFETY: as in `await_stop`.
        while unsafe { libc::waitpid(self.thread, &mut status, libc::__WALL) } > 0
            && libc::WIFSTOPPED(status)
        {}
        drop(process);
    }
}

impl Drop for Tracee {
    fn drop(&mut self) {
        self.end();
    }
}

/// Puts a thread (0: this one) on the core where this one is: stepping is three times as fast.
fn pin(thread: libc::pid_t) {
    // SAFETY: a set of cores is plain bits, for which zero is a value; both calls get its size.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        let core = libc::sched_getcpu().max(0) as usize;
        libc::CPU_SET(core, &mut set);
        for thread in [0, thread] {
            // Where it is refused, it is slow.
            libc::sched_setaffinity(thread, size_of_val(&set), &set);
        }
    }
}

fn register_value(registers: &libc::user_regs_struct, register: Register) -> u64 {
    match register {
        Register::FS => return registers.fs_base,
        Register::GS => return registers.gs_base,
        Register::CS | Register::DS | Register::ES | Register::SS => return 0,
        _ => {}
    }
    let whole = match register.full_register() {
        Register::RAX => registers.rax,
        Register::RBX => registers.rbx,
        Register::RCX => registers.rcx,
        Register::RDX => registers.rdx,
        Register::RSI => registers.rsi,
        Register::RDI => registers.rdi,
        Register::RBP => registers.rbp,
        Register::RSP => registers.rsp,
        Register::R8 => registers.r8,
        Register::R9 => registers.r9,
        Register::R10 => registers.r10,
        Register::R11 => registers.r11,
        Register::R12 => registers.r12,
        Register::R13 => registers.r13,
        Register::R14 => registers.r14,
        Register::R15 => registers.r15,
        Register::RIP => registers.rip,
        other => panic!("an address made with {other:?}"),
    };
    if register.size() == 4 { whole & 0xFFFF_FFFF } else { whole }
}
