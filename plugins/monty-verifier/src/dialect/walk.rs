//! The walk through a program's statements.

use std::collections::{BTreeMap, BTreeSet};

use ruff_python_ast::{ExceptHandler, Expr, Stmt, StmtFor, StmtTry};

use super::bindings::{Bindings, is_set_operator};
use super::mutations;
use super::names;
use super::place::Place;
use super::{Facts, Given, Refused};

/// CPython compiles no deeper nesting of blocks.
const DEEPEST_BLOCK: usize = 20;

/// Within monty's limit for nested expressions.
const DEEPEST_EXPRESSION: usize = 100;

/// `/` of integers beyond a float's precision is not rounded as CPython does.
pub(super) const LARGE_INTEGER: &str = "a large integer";

pub(super) type Checked = Result<(), Refused>;

pub(super) fn differs<T>(what: impl Into<String>) -> Result<T, Refused> {
    Err(Refused::Differs(what.into()))
}

/// The walk's state.
pub(super) struct Walk<'a> {
    pub bindings: &'a Bindings<'a>,
    pub facts: Facts,
    /// Modules by the name under which they were imported, with the members that may be used.
    pub modules: BTreeMap<&'a str, &'static str>,
    /// Imported names that take all elements of an argument at once.
    pub takers: BTreeSet<&'a str>,
    /// Whether a number may be a float.
    pub floats: bool,
    /// Whether there is an operation that monty gets wrong for floats, and which.
    pub wrong_for_floats: Option<&'static str>,
    pub in_comprehension: usize,
    /// Within elements that monty computes early.
    pub in_eager: usize,
    /// Such elements call a function of the program's own.
    pub eager_calls: bool,
    /// A function of the program's own does something that can be seen from outside, or may.
    pub effects: bool,
    pub in_function: usize,
    pub in_class_body: bool,
    blocks: usize,
    pub expressions: usize,
}

impl<'a> Walk<'a> {
    pub fn new(bindings: &'a Bindings<'a>, given: &Given) -> Self {
        Self {
            bindings,
            facts: Facts::default(),
            modules: BTreeMap::new(),
            takers: BTreeSet::new(),
            floats: given.floats,
            wrong_for_floats: given.large_integers.then_some(LARGE_INTEGER),
            in_comprehension: 0,
            in_eager: 0,
            eager_calls: false,
            effects: false,
            in_function: 0,
            in_class_body: false,
            blocks: 0,
            expressions: 0,
        }
    }

    pub fn module(mut self, body: &'a [Stmt]) -> Result<Facts, Refused> {
        for stmt in body {
            self.statement(stmt)?;
        }
        if let Some(operation) = self.wrong_for_floats.filter(|_| self.floats) {
            return differs(format!("{operation} where a number may be a float"));
        }
        if self.facts.eager && self.facts.has_try {
            return differs("`try` beside elements computed early");
        }
        if self.eager_calls && self.effects {
            return differs("functions with effects, called early or too often");
        }
        let shadowed = self.bindings.names.iter().filter(|name| names::is_cpython_builtin(name));
        self.facts.shadowed = shadowed.map(|name| (*name).to_owned()).collect();
        Ok(self.facts)
    }

    pub fn block(&mut self, body: &'a [Stmt]) -> Checked {
        if self.blocks == DEEPEST_BLOCK {
            return differs(format!("more than {DEEPEST_BLOCK} blocks within each other"));
        }
        self.blocks += 1;
        let checked = body.iter().try_for_each(|stmt| self.statement(stmt));
        self.blocks -= 1;
        checked
    }

    pub fn statement(&mut self, stmt: &'a Stmt) -> Checked {
        match stmt {
            Stmt::FunctionDef(function) => self.function(function),
            Stmt::ClassDef(class) => self.class(class),
            Stmt::Return(_) if self.in_function == 0 => {
                Err(Refused::Syntax("'return' outside function".into()))
            }
            Stmt::Return(stmt) => self.optional(stmt.value.as_deref()),
            Stmt::Assign(assign) => {
                for target in &assign.targets {
                    self.target(target)?;
                }
                let place = match assign.targets.as_slice() {
                    [Expr::Name(_)] => Place::Named,
                    [Expr::Tuple(_) | Expr::List(_)] => Place::Taken,
                    _ => Place::Anywhere,
                };
                self.expression(&assign.value, place)
            }
            Stmt::AugAssign(assign) => {
                self.target(&assign.target)?;
                self.operator(assign.op, &assign.value);
                let sets = is_set_operator(assign.op) && self.bindings.is_set(&assign.target);
                let place = if sets { Place::Asked } else { Place::Anywhere };
                self.expression(&assign.value, place)
            }
            Stmt::AnnAssign(assign) => {
                self.target(&assign.target)?;
                self.annotation(&assign.annotation)?;
                match &assign.value {
                    Some(value) => self.expression(value, Place::Named),
                    None => Ok(()),
                }
            }
            Stmt::For(stmt) => self.for_loop(stmt),
            Stmt::While(stmt) => {
                self.expression(&stmt.test, Place::Asked)?;
                self.block(&stmt.body)?;
                self.block(&stmt.orelse)
            }
            Stmt::If(stmt) => {
                self.expression(&stmt.test, Place::Asked)?;
                self.block(&stmt.body)?;
                for clause in &stmt.elif_else_clauses {
                    if let Some(test) = &clause.test {
                        self.expression(test, Place::Asked)?;
                    }
                    self.block(&clause.body)?;
                }
                Ok(())
            }
            Stmt::Try(stmt) => self.try_statement(stmt),
            Stmt::Raise(raise) => {
                self.optional(raise.exc.as_deref())?;
                self.optional(raise.cause.as_deref())
            }
            Stmt::Assert(assert) => {
                self.expression(&assert.test, Place::Asked)?;
                self.optional(assert.msg.as_deref())
            }
            Stmt::Import(import) => import.names.iter().try_for_each(|alias| self.import(alias)),
            Stmt::ImportFrom(import) => self.import_from(import),
            // Where these stand too late, CPython does not compile; monty does in some cases.
            Stmt::Global(_) | Stmt::Nonlocal(_) if self.in_function == 0 => {
                differs("`global` or `nonlocal` outside a function")
            }
            Stmt::Global(_) | Stmt::Nonlocal(_) => {
                self.effects = true;
                Ok(())
            }
            Stmt::Pass(_) | Stmt::Break(_) | Stmt::Continue(_) => Ok(()),
            Stmt::Expr(stmt) => self.expression(&stmt.value, Place::Anywhere),
            Stmt::Delete(_) => differs("the statement `del`"),
            Stmt::With(_) => differs("the statement `with`"),
            Stmt::Match(_) => differs("the statement `match`"),
            Stmt::TypeAlias(_) | Stmt::IpyEscapeCommand(_) => differs("a statement of this kind"),
        }
    }

    fn for_loop(&mut self, stmt: &'a StmtFor) -> Checked {
        if stmt.is_async {
            return differs("`async`");
        }
        self.target(&stmt.target)?;
        self.expression(&stmt.iter, Place::Looped)?;
        if mutations::seen_only_by_cpython(stmt) {
            return differs("a loop that changes what it iterates over through `enumerate` or the like");
        }
        self.block(&stmt.body)?;
        self.block(&stmt.orelse)
    }

    fn try_statement(&mut self, stmt: &'a StmtTry) -> Checked {
        self.facts.has_try = true;
        self.block(&stmt.body)?;
        for ExceptHandler::ExceptHandler(handler) in &stmt.handlers {
            let safe = |expr: &Expr| {
                let name = expr.as_name_expr().map(|name| name.id.as_str());
                name.is_some_and(|name| names::is_safe_to_catch(name) && self.bindings.is_builtin(name))
            };
            let safe = match handler.type_.as_deref() {
                Some(Expr::Tuple(types)) => types.elts.iter().all(safe),
                Some(one) => safe(one),
                None => false,
            };
            if !safe {
                return differs("a handler that could hide that the interpreter lacks something");
            }
            if handler.name.is_some() {
                return differs("an exception's message, which depends on the version");
            }
            self.block(&handler.body)?;
        }
        self.block(&stmt.orelse)?;
        self.block(&stmt.finalbody)
    }

    /// Something that is assigned to.
    pub fn target(&mut self, target: &'a Expr) -> Checked {
        match target {
            Expr::Name(name) if names::is_dunder(&name.id) => differs(format!("assigning `{}`", name.id)),
            Expr::Name(_) => Ok(()),
            Expr::Tuple(tuple) => tuple.elts.iter().try_for_each(|each| self.target(each)),
            Expr::List(list) => list.elts.iter().try_for_each(|each| self.target(each)),
            Expr::Starred(starred) => self.target(&starred.value),
            other => {
                self.note_effect();
                self.expression(other, Place::Anywhere)
            }
        }
    }

    pub fn note_effect(&mut self) {
        self.effects |= self.in_function > 0;
    }

    pub fn optional(&mut self, expr: Option<&'a Expr>) -> Checked {
        expr.map_or(Ok(()), |expr| self.expression(expr, Place::Anywhere))
    }

    pub fn refuse_in_class_body(&self, what: &'static str) -> Checked {
        if self.in_class_body { differs(format!("{what} in the body of a class")) } else { Ok(()) }
    }

    pub fn enter_expression(&mut self) -> Checked {
        self.expressions += 1;
        if self.expressions > DEEPEST_EXPRESSION {
            return differs(format!("more than {DEEPEST_EXPRESSION} expressions within each other"));
        }
        Ok(())
    }
}
