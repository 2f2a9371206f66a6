//! The walk through a program's statements.

use std::collections::{BTreeMap, BTreeSet};

use ruff_python_ast::{
    Alias, ExceptHandler, Expr, Operator, Parameters, Stmt, StmtClassDef, StmtFor, StmtFunctionDef,
    StmtImportFrom, StmtTry,
};

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
    in_function: usize,
    in_class_body: bool,
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
        let shadowed = self.bindings.names.iter().filter(|name| names::is_cpython_builtin(name));
        self.facts.shadowed = shadowed.map(|name| (*name).to_owned()).collect();
        Ok(self.facts)
    }

    fn block(&mut self, body: &'a [Stmt]) -> Checked {
        if self.blocks == DEEPEST_BLOCK {
            return differs(format!("more than {DEEPEST_BLOCK} blocks within each other"));
        }
        self.blocks += 1;
        let checked = body.iter().try_for_each(|stmt| self.statement(stmt));
        self.blocks -= 1;
        checked
    }

    fn statement(&mut self, stmt: &'a Stmt) -> Checked {
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
            Stmt::Global(_) | Stmt::Nonlocal(_) | Stmt::Pass(_) | Stmt::Break(_) | Stmt::Continue(_) => {
                Ok(())
            }
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

    fn function(&mut self, function: &'a StmtFunctionDef) -> Checked {
        if function.is_async || !function.decorator_list.is_empty() || function.type_params.is_some() {
            return differs("`async`, a decorator or a type parameter");
        }
        self.facts.functions.insert(function.name.to_string());
        self.parameters(&function.parameters)?;
        if let Some(returns) = &function.returns {
            self.annotation(returns)?;
        }
        self.globals_come_first(function)?;
        self.in_function += 1;
        let was_in_class = std::mem::replace(&mut self.in_class_body, false);
        let checked = self.block(&function.body);
        self.in_class_body = was_in_class;
        self.in_function -= 1;
        checked
    }

    fn globals_come_first(&self, function: &'a StmtFunctionDef) -> Checked {
        let mut begun = false;
        for stmt in &function.body {
            let declared = match stmt {
                Stmt::Global(stmt) => &stmt.names,
                Stmt::Nonlocal(stmt) => &stmt.names,
                Stmt::Expr(stmt) if stmt.value.is_string_literal_expr() => continue,
                _ => {
                    begun = true;
                    continue;
                }
            };
            let parameter = declared.iter().any(|name| function.parameters.includes(name));
            if begun || parameter {
                return differs("`global` or `nonlocal` for a parameter, or after the first statement");
            }
        }
        Ok(())
    }

    pub fn parameters(&mut self, parameters: &'a Parameters) -> Checked {
        for parameter in parameters {
            if let Some(annotation) = parameter.annotation() {
                self.annotation(annotation)?;
            }
            self.optional(parameter.default())?;
        }
        Ok(())
    }

    fn class(&mut self, class: &'a StmtClassDef) -> Checked {
        const CALLED: &[&str] = &["__init__", "__repr__", "__str__", "__eq__"];
        let bases = class.arguments.as_ref().is_some_and(|arguments| !arguments.is_empty());
        if bases || !class.decorator_list.is_empty() || class.type_params.is_some() {
            return differs("a class with a base, a decorator or a type parameter");
        }
        self.facts.classes.insert(class.name.to_string());
        let was_in_class = std::mem::replace(&mut self.in_class_body, true);
        let mut checked = Ok(());
        for stmt in &class.body {
            let special = match stmt {
                Stmt::FunctionDef(method) => Some(method.name.as_str()),
                _ => None,
            };
            if let Some(special) = special.filter(|name| names::is_dunder(name) && !CALLED.contains(name)) {
                return differs(format!("the method `{special}`"));
            }
            checked = checked.and_then(|()| self.statement(stmt));
        }
        self.in_class_body = was_in_class;
        checked
    }

    fn import(&mut self, alias: &'a Alias) -> Checked {
        let Some(members) = names::module(&alias.name) else {
            return differs(format!("the module `{}`", alias.name));
        };
        self.modules.insert(alias.asname.as_ref().unwrap_or(&alias.name).as_str(), members);
        Ok(())
    }

    fn import_from(&mut self, import: &'a StmtImportFrom) -> Checked {
        let module = import.module.as_ref().map_or("", |module| module.as_str());
        let Some(members) = names::module(module).filter(|_| import.level == 0) else {
            return differs(format!("the module `{module}`"));
        };
        import.names.iter().for_each(|alias| self.member(&alias.name));
        let takers = import.names.iter().filter(|alias| names::TAKERS.contains(&alias.name.as_str()));
        self.takers.extend(takers.map(|alias| alias.asname.as_ref().unwrap_or(&alias.name).as_str()));
        match import.names.iter().find(|alias| !names::is_shared_member(members, &alias.name)) {
            Some(alias) => differs(format!("`{}` of the module `{module}`", alias.name)),
            None => Ok(()),
        }
    }

    /// Annotations are not evaluated by monty, and by CPython depending on its version: those that could
    /// fail are refused.
    fn annotation(&mut self, annotation: &'a Expr) -> Checked {
        const TYPES: &[&str] = &["int", "float", "str", "bool", "list", "dict", "tuple", "set", "object"];
        let fine = match annotation {
            Expr::Name(name) => {
                let known = TYPES.contains(&name.id.as_str()) && self.bindings.is_builtin(&name.id);
                known
                    || names::module("typing").is_some_and(|all| names::is_shared_member(all, &name.id))
                        && self.bindings.names.contains(name.id.as_str())
            }
            Expr::NoneLiteral(_) | Expr::StringLiteral(_) | Expr::EllipsisLiteral(_) => true,
            Expr::Subscript(subscript) => {
                self.annotation(&subscript.value)?;
                return self.annotation(&subscript.slice);
            }
            Expr::Tuple(tuple) => return tuple.elts.iter().try_for_each(|each| self.annotation(each)),
            Expr::List(list) => return list.elts.iter().try_for_each(|each| self.annotation(each)),
            Expr::BinOp(union) if union.op == Operator::BitOr => {
                self.annotation(&union.left)?;
                return self.annotation(&union.right);
            }
            _ => false,
        };
        if fine { Ok(()) } else { differs("an annotation that may not be evaluated") }
    }

    /// Something that is assigned to.
    fn target(&mut self, target: &'a Expr) -> Checked {
        match target {
            Expr::Name(name) if names::is_dunder(&name.id) => differs(format!("assigning `{}`", name.id)),
            Expr::Name(_) => Ok(()),
            Expr::Tuple(tuple) => tuple.elts.iter().try_for_each(|each| self.target(each)),
            Expr::List(list) => list.elts.iter().try_for_each(|each| self.target(each)),
            Expr::Starred(starred) => self.target(&starred.value),
            other => self.expression(other, Place::Anywhere),
        }
    }

    pub fn loop_target(&mut self, target: &'a Expr) -> Checked {
        self.target(target)
    }

    fn optional(&mut self, expr: Option<&'a Expr>) -> Checked {
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
