//! Test code, read as questions.

use std::thread;

use ruff_python_ast::{CmpOp, Expr, ExprCall, ModModule, Operator, Stmt, StmtFunctionDef, UnaryOp};
use ruff_python_parser::{Mode, ParseOptions, parse_unchecked};

use super::compare::{distance, is_true};
use super::literal::literal;
use super::{Ask, Asserted, Expect};

/// What test code may import from `typing`, for the annotations of the prompt that stands before it.
const TYPES: &[&str] = &[
    "Any", "Callable", "Dict", "Iterable", "Iterator", "List", "Optional", "Sequence", "Set", "Tuple",
    "Union",
];

/// Test code above this many bytes is not read, which bounds how deep a syntax tree can be.
pub(super) const LONGEST: usize = 64 << 10;

/// Levels of a syntax tree that any thread's stack takes.
const FEW_LEVELS: usize = 300;

/// A stack for as many levels as [`LONGEST`] has bytes; what of it is not used takes no memory.
const STACK_BYTES: usize = 1 << 30;

/// The calls of test code that asserts something of calls and does nothing else. `functions` are the program's that
/// it names. `None` if it is of another form.
pub(crate) fn asks(code: &str, functions: &[String]) -> Option<Vec<Ask>> {
    // Within a literal Python makes a line end of a carriage return. NaN, where it is spoken of, is not for us to judge.
    if code.len() > LONGEST || code.contains('\r') || code.to_ascii_lowercase().contains("nan") {
        return None;
    }
    // A tree is as deep as there are of these, at most, and is read and dropped level by level.
    let levels = code.bytes().filter(|byte| b"+-*/%@&|^~.([{".contains(byte)).count();
    if levels <= FEW_LEVELS {
        return read(code, functions);
    }
    thread::scope(|scope| {
        let reading = thread::Builder::new().stack_size(STACK_BYTES);
        reading.spawn_scoped(scope, || read(code, functions)).ok()?.join().ok()?
    })
}

fn read(code: &str, functions: &[String]) -> Option<Vec<Ask>> {
    let parsed = parse_unchecked(code, ParseOptions::from(Mode::Module));
    if !parsed.errors().is_empty() {
        return None;
    }
    let module = parsed.into_syntax().module()?;
    Reader { code, functions, asks: Vec::new() }.module(&module)
}

struct Reader<'a> {
    code: &'a str,
    functions: &'a [String],
    asks: Vec<Ask>,
}

impl Reader<'_> {
    fn module(mut self, module: &ModModule) -> Option<Vec<Ask>> {
        let mut checks: Vec<&StmtFunctionDef> = Vec::new();
        for statement in &module.body {
            match statement {
                Stmt::FunctionDef(check) => {
                    self.is_free(&check.name)?;
                    checks.push(check);
                }
                // What stands beside the tests: names that no assertion uses.
                Stmt::ImportFrom(import) => {
                    let module = import.module.as_ref().filter(|_| import.level == 0)?;
                    (module == "typing").then_some(())?;
                    import.names.iter().try_for_each(|name| {
                        TYPES.contains(&name.name.as_str()).then_some(())?;
                        self.is_free(name.asname.as_ref().unwrap_or(&name.name))
                    })?;
                }
                Stmt::Assign(assign) => {
                    let [Expr::Name(name)] = assign.targets.as_slice() else { return None };
                    self.is_free(&name.id)?;
                    literal(&assign.value)?;
                }
                Stmt::Expr(expr) => match expr.value.as_ref() {
                    Expr::Call(call) => self.check(call, &checks)?,
                    other => _ = literal(other)?,
                },
                other => self.statement(other, None)?,
            }
        }
        // What asks nothing may still name what the program must define.
        (!self.asks.is_empty()).then_some(self.asks)
    }

    /// A name to which test code may give a meaning.
    fn is_free(&self, name: &str) -> Option<()> {
        (name != "abs" && self.functions.iter().all(|function| function != name)).then_some(())
    }

    /// `check(function)`, as in HumanEval: the assertions of a function of one parameter.
    fn check(&mut self, call: &ExprCall, checks: &[&StmtFunctionDef]) -> Option<()> {
        let Expr::Name(name) = call.func.as_ref() else { return None };
        let check = checks.iter().rfind(|check| *check.name == *name.id)?;
        let [Expr::Name(function)] = &*call.arguments.args else { return None };
        let function = self.functions.iter().find(|it| **it == *function.id)?.clone();
        let parameters = &check.parameters;
        let [parameter] = parameters.args.as_slice() else { return None };
        let plain = call.arguments.keywords.is_empty()
            && check.decorator_list.is_empty()
            && !check.is_async
            && check.type_params.is_none()
            && check.returns.is_none()
            && parameter.default.is_none()
            && parameter.parameter.annotation.is_none()
            && parameters.posonlyargs.is_empty()
            && parameters.kwonlyargs.is_empty()
            && parameters.vararg.is_none()
            && parameters.kwarg.is_none();
        let parameter = parameter.parameter.name.as_str();
        if !plain || parameter == "abs" {
            return None;
        }
        check.body.iter().try_for_each(|statement| self.statement(statement, Some((parameter, &function))))
    }

    /// A statement that asserts, or that does nothing. `given` is a name for one of the functions.
    fn statement(&mut self, statement: &Stmt, given: Option<(&str, &str)>) -> Option<()> {
        let assert = match statement {
            Stmt::Pass(_) => return Some(()),
            Stmt::Expr(expr) => return literal(&expr.value).map(|_| ()),
            Stmt::Assert(assert) => assert,
            _ => return None,
        };
        if let Some(always) = literal(&assert.test) {
            return (is_true(&always) == Some(true)).then_some(());
        }
        let before = &self.code[..assert.range.start().to_usize()];
        let line = 1 + before.bytes().filter(|&byte| byte == b'\n').count();
        let message = match assert.msg.as_deref() {
            Some(Expr::StringLiteral(text)) => Some(text.value.to_str().to_owned()),
            _ => None,
        };
        let (call, asserted) = asserted(&assert.test)?;
        let Expr::Name(name) = call.func.as_ref() else { return None };
        let function = match given {
            Some((parameter, function)) if parameter == name.id => function.to_owned(),
            _ => self.functions.iter().find(|it| **it == *name.id)?.clone(),
        };
        let arguments = call.arguments.args.iter().map(literal).collect::<Option<_>>()?;
        // In which order they are given shows in the program.
        if call.arguments.keywords.len() > 1 {
            return None;
        }
        let keyword = |keyword: &ruff_python_ast::Keyword| {
            Some((keyword.arg.as_ref()?.to_string(), literal(&keyword.value)?))
        };
        let keywords = call.arguments.keywords.iter().map(keyword).collect::<Option<_>>()?;
        let expect = Expect::Asserted(asserted, message, line);
        self.asks.push(Ask { function, arguments, keywords, expect });
        Some(())
    }
}

/// The call that an assertion is about, and what it asserts of it.
fn asserted(test: &Expr) -> Option<(&ExprCall, Asserted)> {
    match test {
        Expr::Call(call) => Some((call, Asserted::True(true))),
        Expr::UnaryOp(not) if not.op == UnaryOp::Not => {
            Some((not.operand.as_call_expr()?, Asserted::True(false)))
        }
        Expr::Compare(compare) => {
            let (&[op], [right]) = (&*compare.ops, &*compare.comparators) else { return None };
            let left = compare.left.as_ref();
            match op {
                CmpOp::Eq | CmpOp::NotEq => {
                    let (call, expected) = match (left, right) {
                        (Expr::Call(call), expected) | (expected, Expr::Call(call)) => (call, expected),
                        _ => return None,
                    };
                    Some((call, Asserted::Equal(literal(expected)?, op == CmpOp::Eq)))
                }
                CmpOp::Is => {
                    let constant = matches!(right, Expr::BooleanLiteral(_) | Expr::NoneLiteral(_));
                    Some((left.as_call_expr()?, Asserted::Is(literal(right).filter(|_| constant)?)))
                }
                CmpOp::Lt | CmpOp::LtE => {
                    let limit = literal(right)?;
                    let limit = limit.as_f64().filter(|_| limit.is_f64())?;
                    let abs = left.as_call_expr()?;
                    let named = matches!(abs.func.as_ref(), Expr::Name(name) if name.id == "abs");
                    let [Expr::BinOp(minus)] = &*abs.arguments.args else { return None };
                    if !named || !abs.arguments.keywords.is_empty() || minus.op != Operator::Sub {
                        return None;
                    }
                    let (call, to) = match (&*minus.left, &*minus.right) {
                        (Expr::Call(call), to) | (to, Expr::Call(call)) => (call, literal(to)?),
                        _ => return None,
                    };
                    // Between integers it is exact in Python, and here as far as floats hold them.
                    distance(&to, &to)?;
                    if to.as_i64().is_some_and(|int| int.unsigned_abs() > 1 << 53) || to.get("int").is_some()
                    {
                        return None;
                    }
                    Some((call, Asserted::Near { to, limit, or_equal: op == CmpOp::LtE }))
                }
                _ => None,
            }
        }
        _ => None,
    }
}
