//! The walk through what defines names: functions, classes, imports.

use ruff_python_ast::{
    Alias, Expr, Operator, Parameters, Stmt, StmtClassDef, StmtFunctionDef, StmtImportFrom,
};

use super::names;
use super::walk::{Checked, Walk, differs};

impl<'a> Walk<'a> {
    pub fn function(&mut self, function: &'a StmtFunctionDef) -> Checked {
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

    pub fn class(&mut self, class: &'a StmtClassDef) -> Checked {
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

    pub fn import(&mut self, alias: &'a Alias) -> Checked {
        let Some(members) = names::module(&alias.name) else {
            return differs(format!("the module `{}`", alias.name));
        };
        self.modules.insert(alias.asname.as_ref().unwrap_or(&alias.name).as_str(), members);
        Ok(())
    }

    pub fn import_from(&mut self, import: &'a StmtImportFrom) -> Checked {
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
    pub fn annotation(&mut self, annotation: &'a Expr) -> Checked {
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
}
